/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_settings.c: keeps settings as text with their origins, and collects error messages. Holds text only; knows no
 * key and no type. */
#include "conf/conf_settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void conf_settings_init(struct conf_settings *list, struct conf_pool *pool)
{
    list->pool = pool;
    list->first = NULL;
    list->end = &list->first;
}

static const char *copy(struct conf_pool *pool, const char *text, bool *failed)
{
    if (!text)
        return NULL;
    const char *p = conf_copy(pool, text, strlen(text));
    *failed |= !p;
    return p;
}

int conf_settings_add(struct conf_settings *list, const struct conf_setting *s)
{
    struct conf_setting *mine = conf_alloc(list->pool, sizeof(*mine));
    if (!mine)
        return -1;
    bool failed = false;
    *mine = (struct conf_setting){
        .source = s->source,
        .line = s->line,
        .where = copy(list->pool, s->where, &failed),
        .section = copy(list->pool, s->section, &failed),
        .key = copy(list->pool, s->key, &failed),
        .value = copy(list->pool, s->value, &failed),
    };
    if (failed)
        return -1;
    *list->end = mine;
    list->end = &mine->next;
    return 0;
}

struct conf_place conf_place(const struct conf_setting *s)
{
    struct conf_place p;
    switch (s->source) {
    case CONF_FROM_FILE:
    case CONF_FROM_ENV_FILE:
        snprintf(p.s, sizeof(p.s), "%s:%u", s->where, s->line);
        break;
    case CONF_FROM_FALLBACK:
    case CONF_FROM_ENVIRONMENT:
        snprintf(p.s, sizeof(p.s), "environment %s", s->where);
        break;
    case CONF_FROM_OPTION:
        snprintf(p.s, sizeof(p.s), "command line %s", s->where);
        break;
    }
    return p;
}

struct conf_shown conf_shown(const char *text)
{
    static const char cut[] = "...";
    struct conf_shown shown;
    size_t n = 0;
    shown.s[n++] = '"';
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (n + 4 + sizeof(cut) + 1 > sizeof(shown.s)) {
            memcpy(shown.s + n, cut, sizeof(cut) - 1);
            n += sizeof(cut) - 1;
            break;
        }
        if (*p < 0x20 || *p == 0x7f)
            n += (size_t)snprintf(shown.s + n, sizeof(shown.s) - n, "\\x%02x", *p);
        else
            shown.s[n++] = (char)*p;
    }
    shown.s[n++] = '"';
    shown.s[n] = '\0';
    return shown;
}

static void append(struct conf_errors *e, const char *text, size_t n)
{
    char *bigger = realloc(e->text, e->len + n + 1);
    if (!bigger) {
        e->failed = true;
        return;
    }
    memcpy(bigger + e->len, text, n);
    bigger[e->len + n] = '\0';
    e->text = bigger;
    e->len += n;
}

static void append_text(struct conf_errors *e, const char *text)
{
    append(e, text, strlen(text));
}

void conf_error(struct conf_errors *errors, const struct conf_setting *s, const char *format, ...)
{
    if (errors->n++ >= CONF_ERRORS_MOST)
        return;
    if (s) {
        append_text(errors, conf_place(s).s);
        append_text(errors, ": ");
    }
    if (s && s->section && s->key) {
        /* Names come from outside: made printable, but shown without quotes. */
        struct conf_shown section = conf_shown(s->section), key = conf_shown(s->key);
        append(errors, section.s + 1, strlen(section.s) - 2);
        append(errors, ".", 1);
        append(errors, key.s + 1, strlen(key.s) - 2);
        append_text(errors, ": ");
    }
    va_list args;
    va_start(args, format);
    char *message;
    int n = vasprintf(&message, format, args);
    va_end(args);
    if (n < 0) {
        errors->failed = true;
        return;
    }
    for (int i = 0; i < n; i++) /* a name of a section, say, may be in it */
        if ((unsigned char)message[i] < 0x20 || message[i] == 0x7f)
            message[i] = '?';
    append(errors, message, (size_t)n);
    append(errors, "\n", 1);
    free(message);
}

char *conf_errors_take(struct conf_errors *errors)
{
    if (errors->n > CONF_ERRORS_MOST) {
        char line[64];
        snprintf(line, sizeof(line), "... and %zu more\n", errors->n - CONF_ERRORS_MOST);
        append_text(errors, line);
    }
    char *text = errors->text;
    if (errors->failed) {
        free(text);
        text = NULL;
    }
    *errors = (struct conf_errors){ 0 };
    return text;
}
