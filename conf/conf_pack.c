/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_pack.c: see conf_pack.h. Three strings for each value, each with its NUL: section, key and the text that
 * conf_types.c parses to the same value; section "" holds what is in no section. */
#include "conf/conf_pack.h"

#include <stdlib.h>
#include <string.h>

#include "conf/conf_load.h"
#include "conf/conf_loaded.h"
#include "conf/conf_settings.h"
#include "conf/conf_types.h"

static void put_string(FILE *out, const char *text)
{
    fwrite(text, 1, strlen(text) + 1, out);
}

/* `prefix`: of one of many sections, else NULL. */
static void pack_section(const struct conf_section *section, const char *prefix, const void *values, FILE *out)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        const struct conf_key *key = &section->keys[i];
        fprintf(out, "%s%s%s", section->name, prefix ? ":" : "", prefix ? prefix : "");
        fputc('\0', out);
        put_string(out, key->name);
        conf_value_print(key, (const char *)values + key->offset, out);
        fputc('\0', out);
    }
}

static void pack_pair(const char *section, const char *key, const char *value, FILE *out)
{
    put_string(out, section);
    put_string(out, key);
    put_string(out, value);
}

void conf_pack(const struct conf *conf, FILE *out)
{
    for (size_t i = 0; i < conf_n_sections; i++) {
        const struct conf_section *section = &conf_sections[i];
        if (!section->many)
            pack_section(section, NULL, (const char *)conf + section->offset, out);
    }
    const struct conf_section *mount = conf_section_find("mount", 5), *files = conf_section_find("static", 6);
    for (size_t i = 0; i < conf->n_mounts; i++)
        pack_section(mount, conf->mounts[i].prefix, &conf->mounts[i].app, out);
    for (size_t i = 0; i < conf->n_statics; i++)
        pack_section(files, conf->statics[i].prefix, &conf->statics[i].files, out);
    for (size_t i = 0; i < conf->n_env; i++)
        pack_pair("env", conf->env[i].name, conf->env[i].value, out);
    if (conf->file)
        pack_pair("", "file", conf->file, out);
}

/* The string at *at, which moves behind its NUL; NULL: there is none. */
static const char *take_string(struct span bytes, size_t *at)
{
    const char *s = bytes.p + *at;
    const char *end = *at < bytes.n ? memchr(s, '\0', bytes.n - *at) : NULL;
    if (!end)
        return NULL;
    *at += (size_t)(end - s) + 1;
    return s;
}

/* 0, or -1. */
static int unpack_pairs(struct conf_loaded *l, struct span bytes, struct conf_settings *list)
{
    for (size_t at = 0; at < bytes.n;) {
        struct conf_setting s = { .source = CONF_FROM_OPTION, .where = "the master" };
        s.section = take_string(bytes, &at);
        s.key = s.section ? take_string(bytes, &at) : NULL;
        s.value = s.key ? take_string(bytes, &at) : NULL;
        if (!s.value)
            return -1;
        if (*s.section) {
            if (conf_settings_add(list, &s) != 0)
                return -1;
        } else if (strcmp(s.key, "file") == 0) {
            if (!(l->conf.file = conf_copy(&l->pool, s.value, strlen(s.value))))
                return -1;
        }
    }
    return 0;
}

struct conf_loaded *conf_unpack(struct span bytes)
{
    struct conf_loaded *l = calloc(1, sizeof *l);
    struct conf_errors errors = { 0 };
    struct conf_settings list;
    if (!l)
        return NULL;
    conf_settings_init(&list, &l->pool);
    bool good =
        unpack_pairs(l, bytes, &list) == 0 && conf_apply(l, NULL, &list, &errors) == 0 && !errors.n && !errors.failed;
    free(errors.text);
    if (good)
        return l;
    conf_loaded_free(l);
    return NULL;
}
