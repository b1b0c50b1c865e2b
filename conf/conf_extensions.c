/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_extensions.c: see conf_extensions.h. */
#include "conf/conf_extensions.h"

#include <string.h>

#include "conf/conf_settings.h"
#include "common/suggest.h"

#define ALL ((1u << CONF_N_EXTENSIONS) - 1)

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

const char *conf_extension_add(struct conf_pool *pool, const char *text, struct conf_extensions *e)
{
    bool out = *text == '-';
    const char *name = text + out;
    unsigned which = !out && strcmp(name, "all") == 0 ? ALL : 0;
    if (!which && (out || strcmp(name, "none") != 0)) {
        unsigned i = 0;
        while (i < CONF_N_EXTENSIONS && strcmp(names[i], name) != 0)
            i++;
        if (i == CONF_N_EXTENSIONS)
            return unknown(pool, name);
        which = 1u << i;
    }
    if (out)
        e->mask = (e->set ? e->mask : ALL) & ~which;
    else
        e->mask = which ? e->mask | which : 0;
    e->set = true;
    return NULL;
}

void conf_extensions_print(const struct conf_extensions *e, FILE *out)
{
    fputs(!e->mask ? "none" : e->mask == ALL ? "all" : "", out);
    const char *before = "";
    for (unsigned i = 0; e->mask != ALL && i < CONF_N_EXTENSIONS; i++) {
        if (e->mask >> i & 1) {
            fprintf(out, "%s%s", before, names[i]);
            before = ", ";
        }
    }
}
