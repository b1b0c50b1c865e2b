/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_table.h: conf_keys.def as data: every section and key with type, default, bounds and help. */
#ifndef TINE_CONF_CONF_TABLE_H
#define TINE_CONF_CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
    CONF_TYPE_BOOL,
    CONF_TYPE_UINT,
    CONF_TYPE_WORKERS,
    CONF_TYPE_THREADS,
    CONF_TYPE_OCTAL,
    CONF_TYPE_UMASK,
    CONF_TYPE_SIZE,
    CONF_TYPE_MEMORY,
    CONF_TYPE_DURATION,
    CONF_TYPE_KEEPALIVE,
    CONF_TYPE_RATE,
    CONF_TYPE_STRING,
    CONF_TYPE_PATH,
    CONF_TYPE_LOGDEST,
    CONF_TYPE_LOGFORMAT,
    CONF_TYPE_LIST,
    CONF_TYPE_EXTENSIONS,
    CONF_TYPE_FIELDS,
    CONF_TYPE_BINDS,
    CONF_TYPE_NETS,
    CONF_TYPE_LOGLEVEL,
    CONF_TYPE_ERROR_LOG,
    CONF_TYPE_ACCEPT,
    CONF_TYPE_RELOADS,
    CONF_TYPE_INTERFACE,
    CONF_TYPE_LOOP,
    CONF_TYPE_INTERPRETER,
    CONF_TYPE_ASGI_SPEC,
    CONF_TYPE_LIFESPAN,
    CONF_TYPE_WS_ENGINE,
    CONF_TYPE_FORWARDED,
    CONF_TYPE_HSTS,
    CONF_TYPE_TRACE,
    CONF_TYPE_CERT_REQS,
    CONF_TYPE_TLS_VERSION,
};

struct conf_key {
    const char *name;
    enum conf_type type;
    const char *def;      /* default as text; NULL: not set */
    uint64_t least, most; /* most 0: unbounded */
    bool reload;          /* taken up by a reload */
    bool later;           /* not supported yet */
    const char *help;
    size_t offset; /* in the struct of its section */
};

struct conf_section {
    const char *name; /* many: [name:/prefix] */
    bool many;
    bool later; /* the section as a whole is not supported yet */
    const char *help;
    const struct conf_key *keys;
    size_t n_keys;
    size_t offset; /* in struct conf; not for many */
    size_t size;   /* of its struct */
};

/* In the order of conf_keys.def, then "mount", which has the keys of "app". [env] has no keys and is not here. */
extern const struct conf_section conf_sections[];
extern const size_t conf_n_sections;

/* By exact name; NULL if there is none. */
const struct conf_section *conf_section_find(const char *name, size_t n);
/* Whether a key of [app] concerns what all applications of a worker share, so that a mount cannot have its own. */
bool conf_key_is_shared(const struct conf_key *key);
const struct conf_key *conf_key_find(const struct conf_section *section, const char *name);

#endif
