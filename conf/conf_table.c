/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_table.c: conf_keys.def expanded into tables of sections and keys, and look-ups in them. */
#include "conf/conf_table.h"

#include <string.h>

#include "conf/conf.h"

enum { RELOAD = true, RESTART = false, NOW = false, LATER = true };

#define SECTION(member, ini, many, help) static const struct conf_key member##_keys[] = {
#define KEY(member, name, TYPE, def, least, most, reload, status, help) \
    { #name, CONF_TYPE_##TYPE, def, least, most, reload, status, help, offsetof(struct conf_##member, name) },
#define END(member) \
    }               \
    ;
#include "conf/conf_keys.def"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OFFSET_ONE(member) offsetof(struct conf, member)
#define OFFSET_MANY(member) 0
#define MANY_ONE false
#define MANY_MANY true

const struct conf_section conf_sections[] = {
#define SECTION(member, ini, many, help) \
    { ini,                               \
      MANY_##many,                       \
      false,                             \
      help,                              \
      member##_keys,                     \
      COUNT(member##_keys),              \
      OFFSET_##many(member),             \
      sizeof(struct conf_##member) },
#define KEY(...)
#define END(member)
#include "conf/conf_keys.def"
    { "mount", true, false,
      "Another application under a path prefix: [mount:/prefix], with the keys of [app] and its own values for module, "
      "interface, lifespan, root_path and threads. All applications of a worker share its interpreter and its loop: "
      "what "
      "concerns these is set under [app] alone.",
      app_keys, COUNT(app_keys), 0, sizeof(struct conf_app) },
};

const size_t conf_n_sections = COUNT(conf_sections);

const struct conf_section *conf_section_find(const char *name, size_t n)
{
    for (size_t i = 0; i < conf_n_sections; i++)
        if (strlen(conf_sections[i].name) == n && memcmp(conf_sections[i].name, name, n) == 0)
            return &conf_sections[i];
    return NULL;
}

const struct conf_key *conf_key_find(const struct conf_section *section, const char *name)
{
    for (size_t i = 0; i < section->n_keys; i++)
        if (strcmp(section->keys[i].name, name) == 0)
            return &section->keys[i];
    return NULL;
}

bool conf_key_is_shared(const struct conf_key *key)
{
    static const char *const shared[] = { "loop",      "loop_factory", "monkey_patch", "interpreter",
                                          "python",    "venv",         "pythonpath",   "blocking_warning",
                                          "gc_freeze", "preload_app",  "hooks" };
    for (size_t i = 0; i < COUNT(shared); i++)
        if (strcmp(shared[i], key->name) == 0)
            return true;
    return false;
}
