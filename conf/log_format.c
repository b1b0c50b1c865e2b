/* SPDX-License-Identifier: BSD-3-Clause */
/* log_format.c: parses an access log format in one pass over its text; a table says which atom is which. */
#include "conf/log_format.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/span.h"

static const struct {
    const char *name;
    enum log_atom_kind kind;
} atoms[] = {
    { "h", LOG_ATOM_H_REMOTE },
    { "l", LOG_ATOM_L },
    { "u", LOG_ATOM_U_USER },
    { "t", LOG_ATOM_T_TIME },
    { "r", LOG_ATOM_R_LINE },
    { "m", LOG_ATOM_M_METHOD },
    { "U", LOG_ATOM_U_PATH },
    { "q", LOG_ATOM_Q_QUERY },
    { "H", LOG_ATOM_H_PROTOCOL },
    { "s", LOG_ATOM_S_STATUS },
    { "B", LOG_ATOM_B_LENGTH },
    { "b", LOG_ATOM_B_LENGTH_OR_DASH },
    { "f", LOG_ATOM_F_REFERER },
    { "a", LOG_ATOM_A_AGENT },
    { "T", LOG_ATOM_T_SECONDS },
    { "M", LOG_ATOM_M_MS },
    { "D", LOG_ATOM_D_US },
    { "L", LOG_ATOM_L_DECIMAL },
    { "p", LOG_ATOM_P_PID },
    { "R", LOG_ATOM_R_LINE_QUERY },
    { "S", LOG_ATOM_S_SCHEME },
    { "st", LOG_ATOM_ST_PHRASE },
    { "Uq", LOG_ATOM_UQ_PATH_QUERY },
    { "iso", LOG_ATOM_ISO_TIME },
    { "request_id", LOG_ATOM_REQUEST_ID },
    { "trace_id", LOG_ATOM_TRACE_ID },
};

static const char no_memory[] = "out of memory";

/* Each step returns NULL or why it failed. The array doubles at each power of two. */
static const char *add(struct log_format *f, enum log_atom_kind kind, struct span text)
{
    if ((f->n & (f->n - 1)) == 0) {
        struct log_atom *v = reallocarray(f->v, f->n ? 2 * f->n : 1, sizeof(*v));
        if (!v)
            return no_memory;
        f->v = v;
    }
    char *copy = NULL;
    if (text.p && !(copy = strndup(text.p, text.n)))
        return no_memory;
    f->v[f->n++] = (struct log_atom){ kind, copy, text.n, NULL };
    // cppcheck-suppress memleak ; it is in the array
    return NULL;
}

/* Literal text up to the next atom; "%%" is one "%" and its own piece. */
static const char *take_literal(struct log_format *f, const char **p)
{
    if ((*p)[0] == '%') {
        *p += 2;
        return add(f, LOG_ATOM_LITERAL, SPAN("%"));
    }
    size_t n = strcspn(*p, "%");
    struct span text = { *p, n };
    *p += n;
    return add(f, LOG_ATOM_LITERAL, text);
}

static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isgraph((unsigned char)s.p[i]) || strchr("(){}%\"", s.p[i]))
            return false;
    return s.n > 0;
}

/* "{name}i": a field of the request, "o": of the response, "e": of the environment. */
static const char *add_field(struct log_format *f, struct span in)
{
    const char *brace = memchr(in.p, '}', in.n);
    if (!brace || brace + 2 != in.p + in.n)
        return "expected %({name}i)s, %({name}o)s or %({name}e)s";
    struct span name = { in.p + 1, (size_t)(brace - in.p) - 1 };
    if (!is_name(name))
        return "a field needs a name between { and }";
    static const char kinds[] = "ioe";
    const char *kind = memchr(kinds, brace[1], 3);
    if (!kind)
        return "expected i, o or e after {name}";
    static const enum log_atom_kind of[] = { LOG_ATOM_IN_FIELD, LOG_ATOM_OUT_FIELD, LOG_ATOM_ENVIRON };
    const char *why = add(f, of[kind - kinds], name);
    if (why || *kind == 'e')
        return why;
    for (char *c = f->v[f->n - 1].text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    f->wants_out_fields |= *kind == 'o';
    return NULL;
}

static const char *take_atom(struct log_format *f, const char **p)
{
    if ((*p)[1] != '(')
        return "expected %(atom)s or %%";
    struct span name = { *p + 2, strcspn(*p + 2, ")") };
    if (name.p[name.n] != ')')
        return "the ( has no )";
    if (name.p[name.n + 1] != 's')
        return "expected s after the )";
    *p = name.p + name.n + 2;
    if (name.n && name.p[0] == '{')
        return add_field(f, name);
    for (size_t i = 0; i < sizeof(atoms) / sizeof(atoms[0]); i++)
        if (span_eq(name, span_of(atoms[i].name)))
            return add(f, atoms[i].kind, (struct span){ NULL, 0 });
    return "unknown atom (known: h l u t r m U q H s B b f a T M D L p R S st Uq iso request_id trace_id {x}i {x}o "
           "{x}e)";
}

/* NAME=%(atom)s, and the blanks after it. */
static const char *take_member(struct log_format *f, const char **p)
{
    size_t n = strcspn(*p, "= ");
    struct span name = { *p, n };
    if (!is_name(name) || memchr(name.p, '\\', n) || (*p)[n] != '=' || (*p)[n + 1] != '%')
        return "expected NAME=%(atom)s after json";
    *p += n + 1;
    const char *why = take_atom(f, p);
    if (!why && !(f->v[f->n - 1].key = strndup(name.p, name.n)))
        why = no_memory;
    *p += strspn(*p, " ");
    return why;
}

int log_format_parse(const char *text, struct log_format *ret, const char **ret_why, size_t *ret_at)
{
    struct log_format f = { 0 };
    if (strcmp(text, "json") == 0) {
        f.json = true;
        *ret = f;
        return 0;
    }
    f.json = strncmp(text, "json ", 5) == 0;
    for (const char *p = f.json ? text + 5 + strspn(text + 5, " ") : text; *p;) {
        const char *from = p;
        bool atom = p[0] == '%' && p[1] != '%';
        const char *why = f.json ? take_member(&f, &p) : atom ? take_atom(&f, &p) : take_literal(&f, &p);
        if (why) {
            log_format_done(&f);
            *ret_why = why;
            *ret_at = (size_t)(from - text);
            return -1;
        }
    }
    *ret = f;
    return 0;
}

void log_format_done(struct log_format *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].text);
        free(f->v[i].key);
    }
    free(f->v);
    *f = (struct log_format){ 0 };
}
