/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_deflate_offer.c: negotiates permessage-deflate (RFC 7692 7.1): reads the client's offers and writes the answer. Pure
 * but for the budget that it asks after; holds no stream. */
#include <stdio.h>

#include "worker/http/chars.h"
#include "worker/ws/ws_deflate.h"

struct param {
    struct span name;
    bool has_value;
    unsigned bits; /* the value, if it is a number of bits (8..15 without leading zeros); else 0 */
};

struct offer {
    bool declined;
    bool server_no_context_takeover, client_no_context_takeover;
    bool has_client_bits;
    unsigned server_bits, client_bits; /* 0 = not limited by the client */
};

/* --- reading (RFC 6455 9.1) --- */

static bool take_char(struct span *s, char c)
{
    struct span rest = span_trim(*s);
    if (!rest.n || *rest.p != c)
        return false;
    *s = (struct span){ rest.p + 1, rest.n - 1 };
    return true;
}

static bool take_token(struct span *s, struct span *ret)
{
    struct span rest = span_trim(*s);
    size_t n = 0;
    while (n < rest.n && h1_is_token((unsigned char)rest.p[n]))
        n++;
    if (!n)
        return false;
    *ret = (struct span){ rest.p, n };
    *s = (struct span){ rest.p + n, rest.n - n };
    return true;
}

static unsigned bits_of(struct span value)
{
    if (value.n == 1 && (value.p[0] == '8' || value.p[0] == '9'))
        return (unsigned)(value.p[0] - '0');
    if (value.n == 2 && value.p[0] == '1' && value.p[1] >= '0' && value.p[1] <= '5')
        return 10u + (unsigned)(value.p[1] - '0');
    return 0;
}

/* The rest of a quoted string, which must hold a token when unescaped. */
static bool take_quoted(struct span *s, unsigned *ret_bits)
{
    char text[3]; /* one more than any value of ours */
    size_t n = 0;
    while (s->n && *s->p != '"') {
        bool escaped = *s->p == '\\' && s->n > 1;
        char c = s->p[escaped];
        if (!h1_is_token((unsigned char)c))
            return false;
        if (n < sizeof text)
            text[n++] = c;
        s->p += 1 + escaped;
        s->n -= 1u + escaped;
    }
    *ret_bits = bits_of((struct span){ text, n });
    return n && take_char(s, '"');
}

static bool take_param(struct span *s, struct param *ret)
{
    struct span value;
    *ret = (struct param){ 0 };
    if (!take_token(s, &ret->name))
        return false;
    if (!take_char(s, '='))
        return true;
    ret->has_value = true;
    if (take_char(s, '"'))
        return take_quoted(s, &ret->bits);
    if (!take_token(s, &value))
        return false;
    ret->bits = bits_of(value);
    return true;
}

/* --- judging (RFC 7692 7.1) --- */

static bool take_flag(bool *flag, const struct param *param)
{
    bool good = !*flag && !param->has_value;
    *flag = true;
    return good;
}

static bool apply(struct offer *o, const struct param *param)
{
    if (span_eq(param->name, SPAN("server_no_context_takeover")))
        return take_flag(&o->server_no_context_takeover, param);
    if (span_eq(param->name, SPAN("client_no_context_takeover")))
        return take_flag(&o->client_no_context_takeover, param);
    if (span_eq(param->name, SPAN("server_max_window_bits"))) {
        bool first = !o->server_bits;
        o->server_bits = param->bits;
        return first && param->bits > 8; /* zlib deflates raw with 9 bits when asked for 8 */
    }
    if (span_eq(param->name, SPAN("client_max_window_bits"))) {
        bool first = !o->has_client_bits;
        o->has_client_bits = true;
        o->client_bits = param->bits;
        return first && (param->bits || !param->has_value);
    }
    return false;
}

/* One extension with its parameters; declined if it is another or asks for what cannot be. False: no such grammar. */
static bool take_offer(struct span *s, struct offer *ret)
{
    struct span name;
    struct param param;
    *ret = (struct offer){ 0 };
    if (!take_token(s, &name))
        return false;
    ret->declined = !span_eq(name, SPAN("permessage-deflate"));
    while (take_char(s, ';')) {
        if (!take_param(s, &param))
            return false;
        if (!ret->declined && !apply(ret, &param))
            ret->declined = true;
    }
    return true;
}

/* --- answering --- */

static uint8_t smaller_window(unsigned bits)
{
    return (uint8_t)(bits && bits < WS_DEFLATE_WINDOW ? bits : WS_DEFLATE_WINDOW);
}

static struct ws_deflate_params agree(const struct offer *o, const struct ws_deflate_pool *pool)
{
    struct ws_deflate_params p = {
        .server_no_context_takeover = o->server_no_context_takeover,
        .client_no_context_takeover = o->client_no_context_takeover,
        .server_max_window_bits = smaller_window(o->server_bits),
        .client_max_window_bits = o->has_client_bits ? smaller_window(o->client_bits) : 15,
    };
    if (pool && ws_deflate_budget_of(&p) > ws_deflate_budget_left(pool))
        p.client_no_context_takeover = true;
    return p;
}

static size_t write_answer(const struct offer *o, const struct ws_deflate_params *p, char field[WS_DEFLATE_FIELD])
{
    char server_bits[32] = "", client_bits[32] = "";
    if (o->server_bits)
        snprintf(server_bits, sizeof server_bits, "; server_max_window_bits=%u", p->server_max_window_bits);
    if (o->has_client_bits)
        snprintf(client_bits, sizeof client_bits, "; client_max_window_bits=%u", p->client_max_window_bits);
    return (size_t)snprintf(field, WS_DEFLATE_FIELD, "permessage-deflate%s%s%s%s",
                            p->server_no_context_takeover ? "; server_no_context_takeover" : "",
                            p->client_no_context_takeover ? "; client_no_context_takeover" : "", server_bits,
                            client_bits);
}

bool ws_deflate_negotiate(const struct ws_deflate_pool *pool, struct span offers, struct ws_deflate_params *ret,
                          char field[WS_DEFLATE_FIELD], size_t *ret_n)
{
    struct offer o;
    for (;;) {
        while (take_char(&offers, ',')) /* empty elements count for nothing (RFC 9110 5.6.1) */
            ;
        if (!take_offer(&offers, &o))
            return false;
        bool at_end = !span_trim(offers).n;
        if (!at_end && !take_char(&offers, ','))
            return false;
        if (!o.declined) {
            *ret = agree(&o, pool);
            *ret_n = write_answer(&o, ret, field);
            return true;
        }
        if (at_end)
            return false;
    }
}
