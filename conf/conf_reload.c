/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_reload.c: which keys a reload may change. Compares values as text and puts the old ones back; never touches the
 * old configuration. */
#include <stdlib.h>
#include <string.h>

#include "common/fatal.h"
#include "conf/conf_load.h"
#include "conf/conf_loaded.h"
#include "conf/conf_types.h"

typedef void (*say_fn)(void *arg, const char *key, const char *kept, const char *refused);

/* Where the old value came from, in the memory of the fresh configuration. */
static int keep_origin(struct conf_loaded *fresh, const struct conf_setting **to, const struct conf_setting *from)
{
    struct conf_setting *copy = NULL;
    if (from) {
        copy = conf_alloc(&fresh->pool, sizeof(*copy));
        if (!copy)
            return -1;
        copy->source = from->source;
        copy->line = from->line;
        copy->where = conf_text(&fresh->pool, "%s", from->where);
    }
    *to = copy;
    return 0;
}

/* The old value, made again in the memory of the fresh configuration. */
static int keep(struct conf_loaded *fresh, const struct conf_instance *in, const struct conf_key *key, const char *text)
{
    union conf_value value = { 0 };
    if (*text || key->def)
        if (conf_value_parse(&fresh->pool, key, text, &value))
            return -1;
    memcpy(conf_instance_value(in, key), &value, conf_type_size(key->type));
    return 0;
}

static int keep_if_changed(struct conf_loaded *fresh, const struct conf_instance *now,
                           const struct conf_instance *before, const struct conf_key *key, say_fn say, void *arg)
{
    char *a = conf_value_text(key, conf_instance_value(before, key));
    char *b = conf_value_text(key, conf_instance_value(now, key));
    int rc = a && b ? 0 : -1;
    if (rc == 0 && strcmp(a, b) != 0) {
        size_t i = (size_t)(key - now->section->keys);
        rc = keep_origin(fresh, &now->from[i], before->from[i]) || keep(fresh, now, key, a) ? -1 : 0;
        if (rc == 0)
            say(arg, conf_text(&fresh->pool, "%s.%s", now->name, key->name), a, b);
    }
    free(a);
    free(b);
    return rc;
}

/* The sections that there is one of come first, in the same order, in every loaded configuration. */
int conf_keep_restart_keys(struct conf_loaded *fresh, const struct conf_loaded *old, say_fn say, void *arg)
{
    for (size_t i = 0; i < fresh->n && !fresh->v[i].prefix; i++) {
        fatal_unless(fresh->v[i].section == old->v[i].section);
        const struct conf_section *section = fresh->v[i].section;
        for (size_t k = 0; k < section->n_keys; k++)
            if (!section->keys[k].reload &&
                keep_if_changed(fresh, &fresh->v[i], &old->v[i], &section->keys[k], say, arg) != 0)
                return -1;
    }
    return 0;
}
