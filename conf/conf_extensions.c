/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_extensions.c: see conf_extensions.h. */
#include "conf/conf_extensions.h"

#include <string.h>

#include "conf/conf_settings.h"
#include "common/suggest.h"

#define ALL ((1u << CONF_N_EXTENSIONS) - 1)
#define PATHSEND (1u << CONF_EXTENSION_PATHSEND)
#define HARMLESS (ALL & ~PATHSEND)

/* In the order of enum conf_extension. */
static const char *const names[] = {
#define EXTENSION(member, name) name,
#include "conf/conf_extensions.def"
};

static const char *unknown(struct conf_pool *pool, const char *text)
{
    const char *near = suggest_nearest(text, names, CONF_N_EXTENSIONS);
    return conf_text(pool, "%s is no extension that there is; did you mean \"%s\"?", conf_shown(text).s, near);
}

/* "all", "none" and "auto"; false: it is another word. */
static bool add_group(const char *name, struct conf_extensions *e)
{
    bool all = strcmp(name, "all") == 0, automatic = strcmp(name, "auto") == 0;
    if (!all && !automatic && strcmp(name, "none") != 0)
        return false;
    e->mask = all ? ALL : automatic ? (e->mask | HARMLESS) : 0;
    e->judged = automatic && !(e->mask & PATHSEND);
    return true;
}

const char *conf_extension_add(struct conf_pool *pool, const char *text, struct conf_extensions *e)
{
    bool out = *text == '-';
    const char *name = text + out;
    if (out || !add_group(name, e)) {
        unsigned i = 0;
        while (i < CONF_N_EXTENSIONS && strcmp(names[i], name) != 0)
            i++;
        if (i == CONF_N_EXTENSIONS)
            return unknown(pool, name);
        unsigned which = 1u << i;
        e->mask = out ? (e->set ? e->mask : ALL) & ~which : e->mask | which;
        e->judged = e->judged && which != PATHSEND;
    }
    e->set = true;
    return NULL;
}

static void print_auto(const struct conf_extensions *e, FILE *out)
{
    fputs("auto", out);
    for (unsigned i = 0; i < CONF_N_EXTENSIONS; i++)
        if ((HARMLESS & ~e->mask) >> i & 1)
            fprintf(out, ", -%s", names[i]);
}

void conf_extensions_print(const struct conf_extensions *e, FILE *out)
{
    if (e->judged) {
        print_auto(e, out);
        return;
    }
    fputs(!e->mask ? "none" : e->mask == ALL ? "all" : "", out);
    const char *before = "";
    for (unsigned i = 0; e->mask != ALL && i < CONF_N_EXTENSIONS; i++) {
        if (e->mask >> i & 1) {
            fprintf(out, "%s%s", before, names[i]);
            before = ", ";
        }
    }
}
