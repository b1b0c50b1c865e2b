/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_types.h: which media types are worth compressing. Pure. */
#ifndef TINE_HTTP_COMPRESS_TYPES_H
#define TINE_HTTP_COMPRESS_TYPES_H

#include <stdbool.h>

#include "common/span.h"
#include "conf/conf.h"

/* Value of Content-Type, parameters and all, against compress_types: names, "type" + "/" + "*", "+suffix", and
 * "default" for the built-in list. An event stream has to be named. */
bool compress_type_fits(const struct conf_list *types, struct span content_type);

#endif
