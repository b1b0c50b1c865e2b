/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_settings.h: what was written, where, and what is wrong with it: the text of all sources before it is typed. */
#ifndef TINE_CONF_CONF_SETTINGS_H
#define TINE_CONF_CONF_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf_pool.h"

/* By rising precedence. */
enum conf_source {
    CONF_FROM_FALLBACK, /* WEB_CONCURRENCY, PORT, FORWARDED_ALLOW_IPS */
    CONF_FROM_ENV_FILE, /* server.env_file */
    CONF_FROM_FILE,
    CONF_FROM_ENVIRONMENT,
    CONF_FROM_OPTION,
};

struct conf_setting {
    enum conf_source source;
    const char *where; /* file, environment variable or option */
    unsigned line;     /* in the file */
    const char *section;
    const char *key; /* NULL: the heading of a section */
    const char *value;
    struct conf_setting *next;      /* in order of rising precedence, as written */
    struct conf_setting *next_same; /* the next for the same key */
};

struct conf_settings {
    struct conf_pool *pool;
    struct conf_setting *first, **end;
};

void conf_settings_init(struct conf_settings *list, struct conf_pool *pool);
/* Copies all text of `s`. 0, or -1: out of memory. */
int conf_settings_add(struct conf_settings *list, const struct conf_setting *s) __attribute__((warn_unused_result));

/* Where a setting was made, for people: "/etc/tine.ini:3", "environment TINE_APP_LOOP", "command line -w". */
struct conf_place {
    char s[4200];
};
struct conf_place conf_place(const struct conf_setting *s);

/* A value as it may stand in a message: quoted, made printable, cut when long. */
struct conf_shown {
    char s[128];
};
struct conf_shown conf_shown(const char *text);

/* Collected messages. When memory is short `failed` is set and the text is worth nothing. */
struct conf_errors {
    char *text;
    size_t n, len;
    bool failed;
};

#define CONF_ERRORS_MOST 100

/* One line: "PLACE: section.key: message". `s` may be NULL. Those beyond CONF_ERRORS_MOST are only counted. */
void conf_error(struct conf_errors *errors, const struct conf_setting *s, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Hands the text over, with a last line about what was only counted; NULL: out of memory. */
char *conf_errors_take(struct conf_errors *errors);

#endif
