/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_number.c: parses and prints whole numbers, modes, sizes, durations and rates. Never atoi: every digit is looked at,
 * every product checked. */
#include "conf/conf_number.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf_settings.h"

#define MS_PER_DAY UINT64_C(86400000)
#define LONGEST_DURATION (3650 * MS_PER_DAY)

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, as they are tried for printing. */
static const struct unit size_units[] = {
    { "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 }, { "", 1 }, { NULL, 0 },
};
static const struct unit duration_units[] = {
    { "d", MS_PER_DAY }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }, { NULL, 0 },
};

static const struct unit rate_units[] = { { "/s", 3600 }, { "/m", 60 }, { "/h", 1 }, { NULL, 0 } };

/* Moves *p over digits. False: none there, or too many for 64 bits. */
static bool take_number(const char **p, uint64_t *ret)
{
    uint64_t n = 0;
    const char *c = *p;
    for (; *c >= '0' && *c <= '9'; c++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*c - '0'), &n))
            return false;
    if (c == *p)
        return false;
    *p = c;
    *ret = n;
    return true;
}

static const struct unit *unit_named(const struct unit *units, const char *name)
{
    for (const struct unit *u = units; u->name; u++)
        if (strcasecmp(u->name, name) == 0)
            return u;
    return NULL;
}

/* The largest unit that leaves no rest. */
static const char *with_unit(const struct unit *units, uint64_t n, char *to, size_t room)
{
    const struct unit *u = units;
    while (n && n % u->factor != 0)
        u++;
    snprintf(to, room, "%" PRIu64 "%s", n ? n / u->factor : 0, n ? u->name : "");
    return to;
}

uint64_t conf_most(const struct conf_key *key)
{
    if (key->most)
        return key->most;
    if (key->type == CONF_TYPE_DURATION || key->type == CONF_TYPE_KEEPALIVE)
        return LONGEST_DURATION;
    bool is_size = key->type == CONF_TYPE_SIZE || key->type == CONF_TYPE_MEMORY;
    return is_size ? (uint64_t)INT64_MAX : (uint64_t)INT_MAX;
}

static void bound_text(const struct conf_key *key, uint64_t n, char *to, size_t room)
{
    if (key->type == CONF_TYPE_SIZE || key->type == CONF_TYPE_MEMORY)
        with_unit(size_units, n, to, room);
    else if (key->type == CONF_TYPE_DURATION || key->type == CONF_TYPE_KEEPALIVE)
        with_unit(duration_units, n, to, room);
    else if (key->type == CONF_TYPE_RATE)
        with_unit(rate_units, n, to, room);
    else
        snprintf(to, room, key->type == CONF_TYPE_OCTAL || key->type == CONF_TYPE_UMASK ? "%04" PRIo64 : "%" PRIu64, n);
}

const char *conf_range_text(const struct conf_key *key, char to[CONF_RANGE_ROOM])
{
    char least[32], most[32];
    bound_text(key, key->least, least, sizeof(least));
    bound_text(key, key->most, most, sizeof(most));
    if (key->most)
        snprintf(to, CONF_RANGE_ROOM, " from %s to %s", least, most);
    else if (key->least)
        snprintf(to, CONF_RANGE_ROOM, " of %s or more", least);
    else
        *to = '\0';
    return to;
}

const char *conf_expected(struct conf_pool *pool, const struct conf_key *key, const char *what, const char *text)
{
    char range[CONF_RANGE_ROOM];
    const char *hint = "";
    if (strstr(text, " #") || strstr(text, "\t#"))
        hint = " (a comment after a value starts with ;)";
    return conf_text(pool, "expected %s%s, got %s%s", what, conf_range_text(key, range), conf_shown(text).s, hint);
}

static const char *in_range(struct conf_pool *pool, const struct conf_key *key, const char *what, const char *text,
                            uint64_t n)
{
    if (n < key->least || n > conf_most(key))
        return conf_expected(pool, key, what, text);
    return NULL;
}

const char *conf_uint_parse(struct conf_pool *pool, const struct conf_key *key, const char *what, const char *text,
                            unsigned *ret)
{
    const char *p = text;
    uint64_t n;
    if (!take_number(&p, &n) || *p)
        return conf_expected(pool, key, what, text);
    const char *why = in_range(pool, key, what, text, n);
    if (!why)
        *ret = (unsigned)n;
    return why;
}

const char *conf_octal_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, unsigned *ret)
{
    static const char what[] = "an octal mode such as 0660,";
    const char *p = text;
    if (p[0] == '0' && (p[1] == 'o' || p[1] == 'O'))
        p += 2;
    size_t n = strspn(p, "01234567");
    if (n == 0 || n > 9 || p[n])
        return conf_expected(pool, key, what, text);
    uint64_t mode = strtoul(p, NULL, 8);
    const char *why = in_range(pool, key, what, text, mode);
    if (!why)
        *ret = (unsigned)mode;
    return why;
}

const char *conf_size_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret)
{
    static const char what[] = "a size such as 65536, 64k, 16m or 1g,";
    const char *p = text;
    uint64_t n;
    const struct unit *u;
    if (!take_number(&p, &n) || !(u = unit_named(size_units, p)) || __builtin_mul_overflow(n, u->factor, &n))
        return conf_expected(pool, key, what, text);
    const char *why = in_range(pool, key, what, text, n);
    if (!why)
        *ret = n;
    return why;
}

/* Sizes end at INT64_MAX: a percentage has this bit. */
#define PERCENT_BIT (UINT64_C(1) << 63)

const char *conf_memory_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret)
{
    const char *p = text;
    uint64_t n;
    if (!strchr(text, '%'))
        return conf_size_parse(pool, key, text, ret);
    if (!take_number(&p, &n) || strcmp(p, "%") != 0 || !n || n > 100)
        return conf_expected(pool, key, "a size such as 512m, or a percentage from 1% to 100%,", text);
    *ret = PERCENT_BIT | n;
    return NULL;
}

unsigned conf_memory_percent(uint64_t value)
{
    return value & PERCENT_BIT ? (unsigned)(value & ~PERCENT_BIT) : 0;
}

const char *conf_memory_text(uint64_t value, char *to, size_t room)
{
    unsigned percent = conf_memory_percent(value);
    if (!percent)
        return conf_size_text(value, to, room);
    snprintf(to, room, "%u%%", percent);
    return to;
}

/* Milliseconds of ".5" in the unit, rounded up: what is not zero must not become zero, which often means "never". */
static bool take_fraction(const char **p, uint64_t *ret_part, uint64_t *ret_whole)
{
    *ret_part = 0;
    *ret_whole = 1;
    if (**p != '.')
        return true;
    ++*p;
    const char *from = *p;
    if (!take_number(p, ret_part) || *p - from > 9)
        return false;
    for (const char *c = from; c < *p; c++)
        *ret_whole *= 10;
    return true;
}

const char *conf_duration_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret)
{
    static const char what[] = "a duration such as 500ms, 30s, 5m, 2h or 1d,";
    const char *p = text;
    uint64_t n, part, whole;
    const struct unit *u;
    if (!take_number(&p, &n) || !take_fraction(&p, &part, &whole) || !(u = unit_named(duration_units, *p ? p : "s")) ||
        __builtin_mul_overflow(n, u->factor, &n) ||
        __builtin_add_overflow(n, (part * u->factor + whole - 1) / whole, &n))
        return conf_expected(pool, key, what, text);
    const char *why = in_range(pool, key, what, text, n);
    if (!why)
        *ret = n;
    return why;
}

const char *conf_rate_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret)
{
    static const char what[] = "a rate such as 10/s, 300/m or 1000/h,";
    const char *p = text;
    uint64_t n;
    const struct unit *u;
    if (!take_number(&p, &n) || !(u = unit_named(rate_units, *p ? p : "/s")) ||
        __builtin_mul_overflow(n, u->factor, &n))
        return conf_expected(pool, key, what, text);
    const char *why = in_range(pool, key, what, text, n);
    if (!why)
        *ret = n;
    return why;
}

const char *conf_size_text(uint64_t n, char *to, size_t room)
{
    return with_unit(size_units, n, to, room);
}

const char *conf_duration_text(uint64_t ms, char *to, size_t room)
{
    return with_unit(duration_units, ms, to, room);
}

const char *conf_rate_text(uint64_t an_hour, char *to, size_t room)
{
    return with_unit(rate_units, an_hour, to, room);
}
