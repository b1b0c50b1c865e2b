/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_loaded.h: the inside of a loaded configuration, shared by the files that make, check and print it. Private to
 * them: readers of settings include conf.h. */
#ifndef TINE_CONF_CONF_LOADED_H
#define TINE_CONF_CONF_LOADED_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "conf/conf_pool.h"
#include "conf/conf_settings.h"
#include "conf/conf_table.h"

/* One section as it came out: [server], or one of several [mount:/prefix]. */
struct conf_instance {
    const struct conf_section *section;
    const char *name;   /* "server", "mount:/prefix" */
    const char *prefix; /* NULL for a section that there is one of */
    char *values;       /* its struct, in the pool until all are known */
    const struct conf_setting **from; /* by key: what decided its value; NULL: the default */
    struct conf_setting **first;      /* by key: all that was said about it, by rising precedence */
    struct conf_setting **last;
    const struct conf_setting *heading; /* its heading, or its first mention elsewhere; or NULL */
};

struct conf_loaded {
    struct conf conf;
    struct conf_pool pool;
    struct conf_instance *v; /* in the order of conf_sections, then as written */
    size_t n;
    const struct conf_setting **env_from; /* by index of conf.env */
};

static inline void *conf_instance_value(const struct conf_instance *in, const struct conf_key *key)
{
    return in->values + key->offset;
}

/* conf_env.c: TINE_SECTION_KEY, WEB_CONCURRENCY, PORT and FORWARDED_ALLOW_IPS of the environment, as settings. 0, or -1: out of memory. */
int conf_env_fallbacks(struct conf_settings *list) __attribute__((warn_unused_result));
int conf_env_settings(struct conf_settings *list, struct conf_errors *errors) __attribute__((warn_unused_result));
/* Replaces $NAME, ${NAME} and $$. NULL, or what is wrong. */
const char *conf_env_expand(struct conf_pool *pool, const char *text, const char **ret)
    __attribute__((warn_unused_result));

/* conf_env_file.c: the lines of server.env_file, but those that the environment has, as settings of [env]. Paths start in
 * server.chdir, and that in start_dir. 0, or -1: out of memory. */
int conf_env_files(struct conf_loaded *l, const char *start_dir, struct conf_settings *list, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/* conf_apply.c: types all settings into l->conf. start_dir: where paths start; NULL: nothing is read from other files.
 * 0, or -1: out of memory. */
int conf_apply(struct conf_loaded *l, const char *start_dir, struct conf_settings *list, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/* conf_check.c: rules that involve more than one value: keys against each other, and what is not supported yet. */
void conf_check(const struct conf_loaded *l, bool needs_module, struct conf_errors *errors);

#endif
