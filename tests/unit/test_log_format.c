/* SPDX-License-Identifier: BSD-3-Clause */
/* test_log_format.c: access-log formats taken apart. */
#include <stdlib.h>
#include <string.h>

#include "conf/log_format.h"
#include "tests/unit/unit.h"

static void expect(const char *text, size_t n, const enum log_atom_kind *kinds, const char *const *texts)
{
    struct log_format f;
    const char *why = "";
    size_t at = 0;
    if (log_format_parse(text, &f, &why, &at) != 0) {
        CHECK_MSG(0, "%s: %s at %zu", text, why, at);
        return;
    }
    CHECK_MSG(f.n == n, "%s: %zu atoms", text, f.n);
    for (size_t i = 0; i < f.n && i < n; i++) {
        CHECK_MSG(f.v[i].kind == kinds[i], "%s: atom %zu", text, i);
        CHECK_MSG(texts[i] ? f.v[i].text && !strcmp(f.v[i].text, texts[i]) && f.v[i].n == strlen(texts[i])
                           : !f.v[i].text,
                  "%s: text of atom %zu", text, i);
    }
    log_format_done(&f);
}

static void refuse(const char *text, size_t at_expected)
{
    struct log_format f;
    const char *why = NULL;
    size_t at = 999;
    CHECK_MSG(log_format_parse(text, &f, &why, &at) == -1 && why && at == at_expected, "%s: %s at %zu", text,
              why ? why : "taken", at);
}

static void test_atoms(void)
{
    static const enum log_atom_kind one[] = { LOG_ATOM_H_REMOTE, LOG_ATOM_LITERAL, LOG_ATOM_S_STATUS };
    expect("%(h)s %(s)s", 3, one, (const char *[]){ NULL, " ", NULL });
    static const enum log_atom_kind two[] = { LOG_ATOM_LITERAL, LOG_ATOM_IN_FIELD, LOG_ATOM_OUT_FIELD,
                                              LOG_ATOM_ENVIRON };
    expect("x%({X-Id}i)s%({Server}o)s%({Home}e)s", 4, two, (const char *[]){ "x", "x-id", "server", "Home" });
    static const enum log_atom_kind three[] = { LOG_ATOM_UQ_PATH_QUERY, LOG_ATOM_ST_PHRASE, LOG_ATOM_S_SCHEME,
                                                LOG_ATOM_R_LINE_QUERY, LOG_ATOM_U_PATH };
    expect("%(Uq)s%(st)s%(S)s%(R)s%(U)s", 5, three, (const char *[]){ NULL, NULL, NULL, NULL, NULL });
    static const enum log_atom_kind four[] = { LOG_ATOM_LITERAL, LOG_ATOM_LITERAL };
    expect("100%%", 2, four, (const char *[]){ "100", "%" });
    expect("", 0, NULL, NULL);
}

static void test_whole_set(void)
{
    static const char *const names[] = { "h", "l", "u", "t", "r", "m", "U", "q", "H", "s",  "B", "b",
                                         "f", "a", "T", "M", "D", "L", "p", "R", "S", "st", "Uq" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[16];
        struct log_format f;
        const char *why;
        size_t at;
        snprintf(text, sizeof(text), "%%(%s)s", names[i]);
        int rc = log_format_parse(text, &f, &why, &at);
        CHECK_MSG(rc == 0 && f.n == 1 && f.v[0].kind != LOG_ATOM_LITERAL && !f.wants_out_fields, "%s", text);
        if (rc == 0)
            log_format_done(&f);
    }
}

static void test_flags(void)
{
    struct log_format f;
    const char *why;
    size_t at;
    CHECK(log_format_parse("json", &f, &why, &at) == 0 && f.json && f.n == 0);
    log_format_done(&f);
    CHECK(log_format_parse("%({x}o)s", &f, &why, &at) == 0 && f.wants_out_fields && !f.json);
    log_format_done(&f);
}

static void test_refusals(void)
{
    refuse("%", 0);
    refuse("a %", 2);
    refuse("ab%h", 2);
    refuse("%(", 0);
    refuse("%(h", 0);
    refuse("%(h)", 0);
    refuse("%(h)d", 0);
    refuse("%()s", 0);
    refuse("%(h)s %(z)s", 6);
    refuse("%({})s", 0);
    refuse("%({}i)s", 0);
    refuse("%({x)s", 0);
    refuse("%({x}z)s", 0);
    refuse("%({x}io)s", 0);
    refuse("%({a b}i)s", 0);
    refuse("%({a\nb}i)s", 0);
}

/* Every start of a long format is either taken or refused at a place inside it. */
static void test_any_cut(void)
{
    static const char whole[] = "%(h)s %({X}i)s%%\"%({y}o)s\" %(st)s \xff%({Z}e)s";
    for (size_t n = 0; n <= sizeof(whole) - 1; n++) {
        char *text = strndup(whole, n);
        struct log_format f;
        const char *why;
        size_t at = 0;
        if (log_format_parse(text, &f, &why, &at) == 0)
            log_format_done(&f);
        CHECK(at <= n);
        free(text);
    }
}

int main(void)
{
    test_atoms();
    test_whole_set();
    test_flags();
    test_refusals();
    test_any_cut();
    return unit_done();
}
