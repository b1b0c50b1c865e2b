/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_env.c: the environment as a source of settings. Reads it and never changes it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf_load.h"
#include "conf/conf_loaded.h"
#include "common/suggest.h"

#define PREFIX "TINE_"
#define LONGEST_KEY 64

/* Whether the name continues with SECTION_; *ret_key is what follows. */
static bool names_section(const char *name, const char *section, const char **ret_key)
{
    for (; *section; section++, name++)
        if (*name != toupper((unsigned char)*section))
            return false;
    if (*name != '_')
        return false;
    *ret_key = name + 1;
    return true;
}

/* The key that the environment calls `name`; only upper case counts. */
static const char *key_named(const struct conf_section *section, const char *name)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        const char *a = section->keys[i].name, *b = name;
        while (*a && *b == toupper((unsigned char)*a))
            a++, b++;
        if (!*a && !*b)
            return section->keys[i].name;
    }
    return NULL;
}

static void unknown_key(const struct conf_section *section, const struct conf_setting *s, const char *key,
                        struct conf_errors *errors)
{
    if (section->many) {
        conf_error(errors, s, "[%s:/prefix] cannot be set from the environment", section->name);
        return;
    }
    const char *names[LONGEST_KEY];
    size_t n = 0;
    for (; n < section->n_keys && n < LONGEST_KEY; n++)
        names[n] = section->keys[n].name;
    char nearest[2 * LONGEST_KEY];
    snprintf(nearest, sizeof(nearest), "%s%s_%s", PREFIX, section->name, suggest_nearest(key, names, n));
    for (char *c = nearest; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    conf_error(errors, s, "no such setting; did you mean %s?", nearest);
}

/* --- what Kubernetes sets for each service of a namespace --- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

/* SERVICE_HOST, SERVICE_PORT, SERVICE_PORT_NAME, PORT=tcp://..., PORT_80_TCP, PORT_80_TCP_ADDR, after any prefix. */
static bool looks_like_link(const char *name, const char *value)
{
    const char *port = strstr(name, "_PORT_");
    if (ends_with(name, "_SERVICE_HOST") || ends_with(name, "_SERVICE_PORT") || strstr(name, "_SERVICE_PORT_"))
        return true;
    if (port && isdigit((unsigned char)port[6]) &&
        (strstr(port, "_TCP") || strstr(port, "_UDP") || strstr(port, "_SCTP")))
        return true;
    return ends_with(name, "_PORT") && strstr(value, "://");
}

/* A name of [env] may end in the same way on purpose: here all that Kubernetes sets together has to be there. */
static bool is_link(struct conf_pool *pool, const char *name, const char *value)
{
    static const char *const marks[] = { "_SERVICE_", "_PORT" };
    for (size_t i = 0; looks_like_link(name, value) && i < sizeof(marks) / sizeof(marks[0]); i++) {
        for (const char *mark = name; (mark = strstr(mark, marks[i])); mark++) {
            int n = (int)(mark - name);
            const char *port = getenv(conf_text(pool, "%.*s_PORT", n, name));
            if (port && strstr(port, "://") && getenv(conf_text(pool, "%.*s_SERVICE_HOST", n, name)))
                return true;
        }
    }
    return false;
}

/* --- TINE_SECTION_KEY --- */

/* One NAME=VALUE whose name starts with TINE_. Those that name no section of ours belong to other programs. */
static int take_variable(struct conf_settings *list, const char *name, const char *value, struct conf_errors *errors)
{
    struct conf_setting s = { .source = CONF_FROM_ENVIRONMENT, .where = name, .value = value };
    const char *rest = name + strlen(PREFIX), *key;
    if (names_section(rest, "env", &key)) {
        if (is_link(list->pool, name, value))
            return 0;
        s.section = "env";
        s.key = key;
        return conf_settings_add(list, &s);
    }
    for (size_t i = 0; i < conf_n_sections; i++) {
        const struct conf_section *section = &conf_sections[i];
        if (!names_section(rest, section->name, &key))
            continue;
        const char *known = section->many ? NULL : key_named(section, key);
        if (!known && looks_like_link(name, value))
            return 0;
        if (!known) {
            unknown_key(section, &s, key, errors);
            return 0;
        }
        s.section = section->name;
        s.key = known;
        return conf_settings_add(list, &s);
    }
    return 0;
}

int conf_env_settings(struct conf_settings *list, struct conf_errors *errors)
{
    for (char **e = environ; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        if (!equals || strncmp(*e, PREFIX, strlen(PREFIX)) != 0)
            continue;
        const char *name = conf_copy(list->pool, *e, (size_t)(equals - *e));
        if (!name || take_variable(list, name, equals + 1, errors) != 0)
            return -1;
    }
    return 0;
}

int conf_env_fallbacks(struct conf_settings *list)
{
    const char *workers = getenv("WEB_CONCURRENCY"), *port = getenv("PORT"), *proxies = getenv("FORWARDED_ALLOW_IPS");
    struct conf_setting s = { .source = CONF_FROM_FALLBACK, .section = "server" };
    if (workers && *workers) {
        s.where = "WEB_CONCURRENCY";
        s.key = "workers";
        s.value = workers;
        if (conf_settings_add(list, &s) != 0)
            return -1;
    }
    if (port && *port) {
        /* Platforms that hand out a port route to the machine's outer address. */
        s.where = "PORT";
        s.key = "bind";
        s.value = conf_text(list->pool, "0.0.0.0:%s", port);
        if (conf_settings_add(list, &s) != 0)
            return -1;
    }
    if (proxies && *proxies) {
        s = (struct conf_setting){ .source = CONF_FROM_FALLBACK,
                                   .where = "FORWARDED_ALLOW_IPS",
                                   .section = "http",
                                   .key = "forwarded_allow_ips",
                                   .value = proxies };
        if (conf_settings_add(list, &s) != 0)
            return -1;
    }
    return 0;
}

void conf_env_foreign(void (*say)(void *arg, const char *name, const char *hint), void *arg)
{
    static const struct {
        const char *prefix, *hint;
    } foreign[] = {
        { "GUNICORN_CMD_ARGS", "tine --import-gunicorn shows what it comes to" },
        { "UVICORN_", "tine --import-uvicorn shows what these come to" },
        { "GRANIAN_", "tine --import-granian shows what these come to" },
        { "UWSGI_", "uWSGI's settings have counterparts in tine.ini" },
    };
    for (char **e = environ; e && *e; e++) {
        char name[128];
        size_t n = strcspn(*e, "=");
        snprintf(name, sizeof(name), "%.*s", (int)n, *e);
        for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
            if (strncmp(name, foreign[i].prefix, strlen(foreign[i].prefix)) == 0 && (*e)[n] &&
                !looks_like_link(name, *e + n + 1))
                say(arg, name, foreign[i].hint);
    }
}

/* The name after a $: NAME or {NAME}. Returns what follows; NULL: no name there. */
static const char *take_reference(const char *p, const char **ret_name, size_t *ret_n)
{
    bool braces = *p == '{';
    const char *name = p + braces;
    size_t n = 0;
    while (isalnum((unsigned char)name[n]) || name[n] == '_')
        n++;
    if (n == 0 || isdigit((unsigned char)name[0]) || (braces && name[n] != '}'))
        return NULL;
    *ret_name = name;
    *ret_n = n;
    return name + n + braces;
}

const char *conf_env_expand(struct conf_pool *pool, const char *text, const char **ret)
{
    const char *done = "";
    for (const char *p = text; *p;) {
        size_t plain = strcspn(p, "$"), n;
        const char *name, *after, *value = "";
        if (p[plain] == '$' && p[plain + 1] == '$') {
            value = "$";
            after = p + plain + 2;
        } else if (p[plain] == '$' && (after = take_reference(p + plain + 1, &name, &n))) {
            name = conf_copy(pool, name, n);
            if (!name)
                return "out of memory";
            value = getenv(name);
            if (!value)
                return conf_text(pool, "the environment has no %s; write $$ for a plain $", name);
        } else {
            plain += p[plain] == '$';
            after = p + plain;
        }
        char *longer = conf_alloc(pool, strlen(done) + plain + strlen(value) + 1);
        if (!longer)
            return "out of memory";
        stpcpy((char *)memcpy(stpcpy(longer, done), p, plain) + plain, value);
        done = longer;
        p = after;
    }
    *ret = done;
    return NULL;
}
