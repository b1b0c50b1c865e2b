/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_types.h: one parser and one printer for each TYPE of conf_keys.def.
 *
 * BOOL      true, false, yes, no, on, off, 1, 0
 * UINT      a whole number; WORKERS: or "auto", the cores that this process may use; THREADS: or "auto", which is 0
 * OCTAL     a mode in octal; UMASK: or nothing: not set
 * SIZE      bytes, with k, m or g for multiples of 1024; MEMORY: or a percentage (conf_memory_percent())
 * DURATION  a number, fractions allowed, with ms, s, m, h or d; seconds without; KEEPALIVE: or auto
 * RATE      a whole number, with /s, /m or /h; a second without
 * FIELDS    see conf_fields.h
 * STRING, PATH  text; empty: not set (where the default is not empty text itself)
 * LOGDEST   a path, "-", or "none"; LOGFORMAT: see log_format.h
 * LIST, BINDS, NETS, EXTENSIONS  separated by commas; the rest are words from a list
 */
#ifndef TINE_CONF_CONF_TYPES_H
#define TINE_CONF_CONF_TYPES_H

#include <stdbool.h>
#include <stdio.h>

#include "conf/conf.h"
#include "conf/conf_pool.h"
#include "conf/conf_table.h"

/* Room for the value of any key. The first member is the longest: an initialiser of { 0 } clears only that one, which
 * compilers from GCC 15 on take at its word. */
union conf_value {
    struct conf_nets nets;
    bool flag;
    unsigned number;
    struct conf_umask umask;
    uint64_t big;
    int level;
    char *text;
    struct conf_list list;
    struct conf_extensions extensions;
    struct conf_binds binds;
};
_Static_assert(sizeof(union conf_value) == sizeof(struct conf_nets), "{ 0 } does not clear a conf_value");

/* Parses into *value; list types add to what is there. NULL, or what is wrong (in the pool), *value as it was. */
const char *conf_value_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, void *value)
    __attribute__((warn_unused_result));
/* Text that parses to the same value; nothing for one that is not set. */
void conf_value_print(const struct conf_key *key, const void *value, FILE *out);
/* The same in memory to be freed; NULL: out of memory. */
char *conf_value_text(const struct conf_key *key, const void *value);
/* Whether several settings of the key add up. */
bool conf_type_is_list(enum conf_type type);
size_t conf_type_size(enum conf_type type);
/* For tine.ini(5): "duration", "true or false"; words of an enumeration separated by ", ". */
const char *conf_type_doc(enum conf_type type);

#endif
