/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_pack.h: a configuration as bytes, for a process that shares no memory with the one that loaded it: a worker, which
 * is another program. Both are of the same version of Tine; nothing else reads the format. */
#ifndef TINE_CONF_CONF_PACK_H
#define TINE_CONF_CONF_PACK_H

#include <stdio.h>

#include "common/span.h"

struct conf;
struct conf_loaded;

/* Writes every key of every section, and [env]; check the stream for errors. */
void conf_pack(const struct conf *conf, FILE *out);
/* The same configuration again, to be freed by conf_loaded_free(); origins of values are not kept. `bytes` may go
 * afterwards. NULL: out of memory, or these are not the bytes of a configuration of this version. */
struct conf_loaded *conf_unpack(struct span bytes) __attribute__((warn_unused_result));

#endif
