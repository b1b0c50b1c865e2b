/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_load.h: from command line, environment and file to one checked, constant configuration.
 *
 * Precedence: command line > environment TINE_SECTION_KEY > file > WEB_CONCURRENCY, PORT and FORWARDED_ALLOW_IPS > default. Every mistake is
 * reported, not only the first, each on its own line that names where it stands (file:line, option or environment
 * variable), the key, and what was expected. Nothing is kept between two calls: a reload simply loads again.
 */
#ifndef TINE_CONF_CONF_LOAD_H
#define TINE_CONF_CONF_LOAD_H

#include <stdio.h>

struct conf;
struct conf_cli;
struct conf_loaded;

/* 0; or -1 with *ret_errors, lines each ended by a newline, to be freed (NULL: out of memory).
 * CONF_CLI_DUMP does without app.module; serving and -t need it. CONF_CLI_IMPORT does so too, and reads no file but
 * cli->file. */
int conf_load(const struct conf_cli *cli, struct conf_loaded **ret, char **ret_errors)
    __attribute__((warn_unused_result));
const struct conf *conf_loaded_get(const struct conf_loaded *l);
void conf_loaded_free(struct conf_loaded *l);

/* Where the value of a key was set, for people: "/etc/tine.ini:3", "command line -b", "default"; to be freed. NULL: out of
 * memory, or there is no such section or key. */
char *conf_origin(const struct conf_loaded *l, const char *section, const char *key);

/* conf_env.c: calls `say` for each variable of the environment that tells another server what to do and has no effect here,
 * with what to do about it. */
void conf_env_foreign(void (*say)(void *arg, const char *name, const char *hint), void *arg);

/* conf_dump.c: every key with its value and origin, as a file that loads to the same values. */
void conf_dump(const struct conf_loaded *l, FILE *out);

/* conf_reload.c: for a reload. Puts the values of `old` back into `fresh` for every key that only a restart can
 * change, and calls `say` with "section.key", the value kept and the value refused for each that differs.
 * 0, or -1: out of memory. */
int conf_keep_restart_keys(struct conf_loaded *fresh, const struct conf_loaded *old,
                           void (*say)(void *arg, const char *key, const char *kept, const char *refused), void *arg)
    __attribute__((warn_unused_result));

#endif
