/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_extensions.h: the list type of ASGI's extensions (EXTENSIONS): names, "all", "none" and "auto", applied from left to
 * right; a name after a minus is taken out. A list that begins so begins with all of them. */
#ifndef TINE_CONF_CONF_EXTENSIONS_H
#define TINE_CONF_CONF_EXTENSIONS_H

#include <stdio.h>

#include "conf/conf.h"
#include "conf/conf_pool.h"

/* One element of the list, trimmed and not empty, is applied to the value. NULL, or what is wrong. */
const char *conf_extension_add(struct conf_pool *pool, const char *text, struct conf_extensions *extensions)
    __attribute__((warn_unused_result));
void conf_extensions_print(const struct conf_extensions *extensions, FILE *out);

#endif
