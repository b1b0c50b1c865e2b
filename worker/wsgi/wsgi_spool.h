/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_spool.h: what write() gives on the loop's thread when the client has too much to read already: neither may the loop
 * stand still nor memory grow, so it lies in a file without a name until the application has returned. GIL held. */
#ifndef TINE_WSGI_WSGI_SPOOL_H
#define TINE_WSGI_WSGI_SPOOL_H

#include "common/span.h"
#include "worker/wsgi/wsgi_out.h"

struct wsgi_call;

/* 0, or -1 with an exception set (an OSError: there is no room). */
int wsgi_spool_add(struct wsgi_call *c, struct span bytes) __attribute__((warn_unused_result));
/* Gives all of it to the client, behind what was given before; nothing may be on its way out of a file. As
 * wsgi_out_now(). */
enum wsgi_sent wsgi_spool_send(struct wsgi_call *c);

#endif
