/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_dump.c: prints a loaded configuration as a file that loads to the same values, each with its origin as a comment.
 * What a file cannot hold is printed as a comment that says so. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_load.h"
#include "conf/conf_loaded.h"
#include "conf/conf_types.h"

#define ORIGIN_COLUMN 44

/* Whether a value comes back from a file as it is: inih trims it and ends it at a ; after a blank. */
static bool fits_in_file(const char *value)
{
    size_t n = strlen(value);
    if (n == 0)
        return true;
    if (strchr(" \t", value[0]) || strchr(" \t;", value[n - 1]) || value[0] == ';')
        return false;
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || (*p == ' ' && p[1] == ';'))
            return false;
    return true;
}

static bool name_fits_in_file(const char *name)
{
    return fits_in_file(name) && !strpbrk(name, ":=") && !strchr("[#", name[0]);
}

static void print_pair(FILE *out, const char *name, const char *value, const struct conf_setting *from)
{
    if (!value) {
        fprintf(out, "; %s: out of memory\n", name);
        return;
    }
    bool fits = name_fits_in_file(name) && fits_in_file(value);
    struct conf_place place = from ? conf_place(from) : (struct conf_place){ "default" };
    int n = fprintf(out, "%s%s = ", fits ? "" : "; ", name);
    for (const char *p = value; *p; p++, n++)
        fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, out);
    fprintf(out, "%*s ; %s%s\n", n < ORIGIN_COLUMN ? ORIGIN_COLUMN - n : 0, "", place.s,
            fits ? "" : " (cannot be written in a file)");
}

static void dump_section(const struct conf_instance *in, FILE *out)
{
    fprintf(out, "\n[%s]\n", in->name);
    for (size_t i = 0; i < in->section->n_keys; i++) {
        const struct conf_key *key = &in->section->keys[i];
        if (strcmp(in->section->name, "mount") == 0 && conf_key_is_shared(key))
            continue; /* that of [app], and an error where it differs */
        char *value = conf_value_text(key, conf_instance_value(in, key));
        print_pair(out, key->name, value, in->from[i]);
        free(value);
    }
}

/* A $ is doubled: it would be taken for a reference. */
static char *escape(const char *value)
{
    char *text = malloc(2 * strlen(value) + 1), *to = text;
    for (; text && *value; value++) {
        if (*value == '$')
            *to++ = '$';
        *to++ = *value;
    }
    if (text)
        *to = '\0';
    return text;
}

void conf_dump(const struct conf_loaded *l, FILE *out)
{
    fprintf(out, "; Configuration of tine as it takes effect; after each value, where it comes from.\n");
    if (l->conf.file)
        fprintf(out, "; File: %s\n", l->conf.file);
    for (size_t i = 0; i < l->n; i++)
        dump_section(&l->v[i], out);
    if (l->conf.n_env)
        fprintf(out, "\n[env]\n");
    for (size_t i = 0; i < l->conf.n_env; i++) {
        char *value = escape(l->conf.env[i].value);
        print_pair(out, l->conf.env[i].name, value, l->env_from[i]);
        free(value);
    }
}
