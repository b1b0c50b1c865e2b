/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_apply.c: from settings, which are text, to the typed configuration: finds section and key of each, and gives
 * every key the value of the source that comes first. Knows no rule between two keys. */
#include <string.h>

#include "conf/conf_loaded.h"
#include "common/suggest.h"
#include "conf/conf_types.h"

#define MOST_NAMES 128
#define MOST_SECTIONS 1000 /* and as many names in [env]: they are looked for one by one */

static struct conf_instance *instance_find(struct conf_loaded *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].name, name) == 0)
            return &l->v[i];
    return NULL;
}

static struct conf_instance *instance_add(struct conf_loaded *l, const struct conf_section *section, const char *name,
                                          const char *prefix)
{
    struct conf_instance *v = conf_extend(&l->pool, l->v, l->n, sizeof(*v));
    if (!v)
        return NULL;
    l->v = v;
    struct conf_instance *in = &v[l->n];
    *in = (struct conf_instance){
        .section = section,
        .name = name,
        .prefix = prefix,
        .values = section->many ? conf_alloc(&l->pool, section->size) : (char *)&l->conf + section->offset,
        .from = conf_alloc(&l->pool, section->n_keys * sizeof(*in->from)),
        .first = conf_alloc(&l->pool, section->n_keys * sizeof(*in->first)),
        .last = conf_alloc(&l->pool, section->n_keys * sizeof(*in->last)),
    };
    if (!in->values || !in->from || !in->first || !in->last)
        return NULL;
    l->n++;
    return in;
}

static int add_single_sections(struct conf_loaded *l)
{
    for (size_t i = 0; i < conf_n_sections; i++) {
        const struct conf_section *section = &conf_sections[i];
        if (!section->many && !instance_add(l, section, section->name, NULL))
            return -1;
    }
    return 0;
}

static void unknown_section(const struct conf_setting *s, struct conf_errors *errors)
{
    const char *names[MOST_NAMES] = { "env" };
    size_t n = 1;
    for (size_t i = 0; i < conf_n_sections && n < MOST_NAMES; i++)
        names[n++] = conf_sections[i].name;
    const char *nearest = suggest_nearest(s->section, names, n);
    const struct conf_section *section = conf_section_find(nearest, strlen(nearest));
    conf_error(errors, s, "unknown section %s; did you mean [%s%s]?", conf_shown(s->section).s, nearest,
               section && section->many ? ":/prefix" : "");
}

/* Whether a segment is "." or "..". */
static bool has_dots(const char *path)
{
    for (const char *p = path; (p = strstr(p, "/.")); p++) {
        size_t n = strcspn(p + 1, "/");
        if (n == 1 || (n == 2 && p[2] == '.'))
            return true;
    }
    return false;
}

static bool is_prefix(const char *prefix)
{
    size_t n = strlen(prefix);
    return n > 1 && prefix[0] == '/' && prefix[n - 1] != '/' && !strstr(prefix, "//") && !strpbrk(prefix, "?#% ") &&
           !has_dots(prefix);
}

/* NULL with errors->n grown: a mistake; NULL without: out of memory. */
static struct conf_instance *resolve_section(struct conf_loaded *l, const struct conf_setting *s,
                                             struct conf_errors *errors)
{
    struct conf_instance *in = instance_find(l, s->section);
    if (in)
        return in;
    size_t n = strcspn(s->section, ":");
    const struct conf_section *section = conf_section_find(s->section, n);
    const char *prefix = s->section[n] ? s->section + n + 1 : NULL;
    if (!section || (prefix && !section->many)) {
        unknown_section(s, errors);
    } else if (!prefix || !is_prefix(prefix)) {
        conf_error(errors, s, "expected a path prefix: [%s:/prefix]", section->name);
    } else if (l->n >= MOST_SECTIONS) {
        conf_error(errors, s, "more than %d sections", MOST_SECTIONS);
    } else {
        return instance_add(l, section, s->section, prefix);
    }
    return NULL;
}

static void unknown_key(const struct conf_instance *in, const struct conf_setting *s, struct conf_errors *errors)
{
    for (size_t i = 0; i < conf_n_sections; i++) {
        if (!conf_sections[i].many && conf_key_find(&conf_sections[i], s->key)) {
            conf_error(errors, s, "unknown key; did you mean the one of [%s]?", conf_sections[i].name);
            return;
        }
    }
    const char *names[MOST_NAMES];
    size_t n = 0;
    for (; n < in->section->n_keys && n < MOST_NAMES; n++)
        names[n] = in->section->keys[n].name;
    conf_error(errors, s, "unknown key; did you mean \"%s\"?", suggest_nearest(s->key, names, n));
}

/* A second heading of the same section in the file would hide which of the two counts. */
static void take_heading(struct conf_instance *in, const struct conf_setting *s, struct conf_errors *errors)
{
    bool is_heading = !s->key, had_heading = in->heading && !in->heading->key;
    if (is_heading && had_heading)
        conf_error(errors, s, "[%s] appears twice, first in line %u", in->name, in->heading->line);
    else if (is_heading || !in->heading)
        in->heading = s;
}

static void chain(struct conf_instance *in, const struct conf_key *key, struct conf_setting *s)
{
    size_t i = (size_t)(key - in->section->keys);
    if (in->last[i])
        in->last[i]->next_same = s;
    else
        in->first[i] = s;
    in->last[i] = s;
}

/* Hangs each setting onto the key that it is for. */
static int distribute(struct conf_loaded *l, struct conf_settings *list, struct conf_errors *errors)
{
    const char *unknown = NULL;
    const struct conf_setting *env_heading = NULL;
    for (struct conf_setting *s = list->first; s; s = s->next) {
        if (strcmp(s->section, "env") == 0) {
            if (!s->key && env_heading)
                conf_error(errors, s, "[env] appears twice, first in line %u", env_heading->line);
            if (!s->key && !env_heading)
                env_heading = s;
            continue;
        }
        /* The heading was reported: its keys would only repeat that. */
        if (s->source == CONF_FROM_FILE && s->key && unknown && strcmp(unknown, s->section) == 0)
            continue;
        size_t before = errors->n;
        struct conf_instance *in = resolve_section(l, s, errors);
        if (!in && errors->n == before)
            return -1;
        unknown = in ? NULL : s->section;
        if (!in)
            continue;
        take_heading(in, s, errors);
        const struct conf_key *key = s->key ? conf_key_find(in->section, s->key) : NULL;
        if (key)
            chain(in, key, s);
        else if (s->key)
            unknown_key(in, s, errors);
    }
    return 0;
}

/* Control characters could forge lines of logs and files that show a value. */
static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

/* One setting over what those before it left. */
static void take_setting(struct conf_loaded *l, struct conf_instance *in, const struct conf_key *key,
                         const struct conf_setting *s, const struct conf_setting *before, struct conf_errors *errors)
{
    const struct conf_setting **from = &in->from[key - in->section->keys];
    void *value = conf_instance_value(in, key);
    bool is_list = conf_type_is_list(key->type);
    if (!is_list && before && before->source == CONF_FROM_FILE && s->source == CONF_FROM_FILE) {
        conf_error(errors, s, "set twice, first in line %u", before->line);
        return;
    }
    if (!is_printable(s->value)) {
        conf_error(errors, s, "control characters are not allowed, got %s", conf_shown(s->value).s);
        return;
    }
    /* Elements of one source add up; a source replaces those below it. */
    if (is_list && (!before || before->source != s->source))
        memset(value, 0, conf_type_size(key->type));
    const char *why = conf_value_parse(&l->pool, key, s->value, value);
    if (why)
        conf_error(errors, s, "%s", why);
    else
        *from = s;
}

/* The default, then every source above it: what is overridden is checked all the same. */
static void settle_key(struct conf_loaded *l, struct conf_instance *in, const struct conf_key *key,
                       struct conf_errors *errors)
{
    const struct conf_setting *before = NULL;
    if (key->def) {
        const char *why = conf_value_parse(&l->pool, key, key->def, conf_instance_value(in, key));
        if (why)
            conf_error(errors, NULL, "%s.%s: default: %s", in->name, key->name, why);
    }
    const struct conf_setting *s = in->first[key - in->section->keys];
    if (s && s->source == CONF_FROM_FALLBACK && s->next_same)
        s = s->next_same; /* WEB_CONCURRENCY and its kind are meant for others too: not looked at unless needed */
    for (; s; s = s->next_same) {
        take_setting(l, in, key, s, before, errors);
        before = s;
    }
}

static size_t env_find(const struct conf *conf, const char *name)
{
    size_t i = 0;
    while (i < conf->n_env && strcmp(conf->env[i].name, name) != 0)
        i++;
    return i;
}

/* Adds one element at the end of conf->env, and of what says where it came from. */
static int env_add(struct conf_loaded *l, const char *name)
{
    struct conf_env *env = conf_extend(&l->pool, l->conf.env, l->conf.n_env, sizeof(*env));
    const struct conf_setting **from = conf_extend(&l->pool, l->env_from, l->conf.n_env, sizeof(*from));
    char *copy = conf_copy(&l->pool, name, strlen(name));
    if (!env || !from || !copy)
        return -1;
    env[l->conf.n_env].name = copy;
    l->conf.env = env;
    l->env_from = from;
    l->conf.n_env++;
    return 0;
}

static int take_env(struct conf_loaded *l, const struct conf_setting *s, struct conf_errors *errors)
{
    if (!*s->key || strchr(s->key, '=') || !is_printable(s->key)) {
        conf_error(errors, s, "expected NAME = value");
        return 0;
    }
    size_t i = env_find(&l->conf, s->key);
    if (i < l->conf.n_env && s->source == CONF_FROM_FILE && l->env_from[i]->source == CONF_FROM_FILE) {
        conf_error(errors, s, "set twice, first in line %u", l->env_from[i]->line);
        return 0;
    }
    if (i >= MOST_SECTIONS) {
        conf_error(errors, s, "more than %d names in [env]", MOST_SECTIONS);
        return 0;
    }
    const char *value = s->value;
    /* A shell has already expanded what it hands to us. */
    const char *why = s->source == CONF_FROM_FILE ? conf_env_expand(&l->pool, s->value, &value) : NULL;
    if (why) {
        conf_error(errors, s, "%s", why);
        return 0;
    }
    if (i == l->conf.n_env && env_add(l, s->key) != 0)
        return -1;
    l->env_from[i] = s;
    l->conf.env[i].value = conf_copy(&l->pool, value, strlen(value));
    return l->conf.env[i].value ? 0 : -1;
}

/* Beneath [env]: the names of these files come first, so that it replaces them. */
static int take_env_files(struct conf_loaded *l, const char *start_dir, struct conf_errors *errors)
{
    struct conf_settings list;
    conf_settings_init(&list, &l->pool);
    if (conf_env_files(l, start_dir, &list, errors) != 0)
        return -1;
    for (const struct conf_setting *s = list.first; s; s = s->next)
        if (take_env(l, s, errors) != 0)
            return -1;
    return 0;
}

/* The sections that there may be many of become arrays of the configuration; their strings are shared. */
static int gather_many(struct conf_loaded *l)
{
    struct conf *c = &l->conf;
    for (size_t i = 0; i < l->n; i++) {
        struct conf_instance *in = &l->v[i];
        if (!in->prefix)
            continue;
        char *prefix = conf_copy(&l->pool, in->prefix, strlen(in->prefix));
        if (!prefix)
            return -1;
        if (strcmp(in->section->name, "mount") == 0) {
            struct conf_mount *v = conf_extend(&l->pool, c->mounts, c->n_mounts, sizeof(*v));
            if (!v)
                return -1;
            v[c->n_mounts].prefix = prefix;
            memcpy(&v[c->n_mounts].app, in->values, sizeof(v->app));
            c->mounts = v;
            c->n_mounts++;
        } else {
            struct conf_static *v = conf_extend(&l->pool, c->statics, c->n_statics, sizeof(*v));
            if (!v)
                return -1;
            v[c->n_statics].prefix = prefix;
            memcpy(&v[c->n_statics].files, in->values, sizeof(v->files));
            c->statics = v;
            c->n_statics++;
        }
    }
    return 0;
}

int conf_apply(struct conf_loaded *l, const char *start_dir, struct conf_settings *list, struct conf_errors *errors)
{
    if (add_single_sections(l) != 0 || distribute(l, list, errors) != 0)
        return -1;
    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->v[i].section->n_keys; k++)
            settle_key(l, &l->v[i], &l->v[i].section->keys[k], errors);
    if (start_dir && take_env_files(l, start_dir, errors) != 0)
        return -1;
    for (const struct conf_setting *s = list->first; s; s = s->next)
        if (s->key && strcmp(s->section, "env") == 0 && take_env(l, s, errors) != 0)
            return -1;
    return gather_many(l);
}
