/* SPDX-License-Identifier: BSD-3-Clause */
/* interfaces.c: see interfaces.h. */
#include "worker/interfaces.h"

#include "conf/conf.h"
#include "worker/asgi/asgi.h"
#include "worker/wsgi/wsgi.h"

const struct interface_choice interfaces[] = {
    { "asgi", CONF_INTERFACE_ASGI, &interface_asgi },
    { "asgi2", CONF_INTERFACE_ASGI2, &interface_asgi2 },
    { "wsgi", CONF_INTERFACE_WSGI, &interface_wsgi },
    { NULL, 0, NULL },
};
