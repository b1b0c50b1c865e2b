/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_fields.c: see conf_fields.h. */
#include "conf/conf_fields.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/span.h"
#include "conf/conf_settings.h"

/* What frames a message, or belongs to a connection. */
static const char *const own[] = { "connection", "content-length",    "date",    "keep-alive", "proxy-connection", "te",
                                   "trailer",    "transfer-encoding", "upgrade", NULL };

/* RFC 9110 5.6.2 */
static bool is_token_char(char ch)
{
    return isalnum((unsigned char)ch) || (ch && strchr("!#$%&'*+-.^_`|~", ch));
}

size_t conf_field_name(const char *field)
{
    size_t n = 0;
    while (is_token_char(field[n]))
        n++;
    return n;
}

static bool begins_field(const char *p)
{
    p += strspn(p, " \t");
    size_t n = conf_field_name(p);
    return n && p[n] == ':' && (p[n + 1] == ' ' || p[n + 1] == '\t');
}

/* Where the field ends: at the comma before another one, or with the text. */
static const char *end_of(const char *p)
{
    while (*p && !(*p == ',' && begins_field(p + 1)))
        p++;
    return p;
}

static const char *fault(struct conf_pool *pool, const char *field)
{
    size_t n = conf_field_name(field);
    if (!n || field[n] != ':' || !field[n + 1 + strspn(field + n + 1, " \t")])
        return conf_text(pool, "expected Name: value, got %s", conf_shown(field).s);
    for (size_t i = 0; own[i]; i++)
        if (strlen(own[i]) == n && strncasecmp(own[i], field, n) == 0)
            return conf_text(pool, "%s is for the server to say", own[i]);
    return NULL;
}

const char *conf_fields_add(struct conf_pool *pool, const char *text, struct conf_list *list)
{
    struct conf_list longer = *list;
    for (const char *p = text; *p;) {
        const char *end = end_of(p);
        struct span s = span_trim((struct span){ p, (size_t)(end - p) });
        p = *end ? end + 1 : end;
        if (!s.n)
            continue;
        char **v = conf_extend(pool, longer.v, longer.n, sizeof *v);
        char *field = conf_copy(pool, s.p, s.n);
        if (!v || !field)
            return "out of memory";
        const char *why = fault(pool, field);
        if (why)
            return why;
        v[longer.n++] = field;
        longer.v = v;
    }
    *list = longer;
    return NULL;
}
