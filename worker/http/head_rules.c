/* SPDX-License-Identifier: BSD-3-Clause */
/* head_rules.c: every refusal of a request's head, once for HTTP/1 and HTTP/2, as a table with its RFC section.
 *
 * Looks at fields and target as spans; changes only the req. Knows no socket, no parser and no configuration but the
 * body limit. Where an RFC leaves a choice between repairing and refusing, it refuses.
 */
#include "worker/http/head_rules.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "worker/http/chars.h"
#include "worker/http/req.h"

#define MAX_LENGTH_DIGITS 18 /* below 2^63, without a check for overflow */

enum rule {
    HOST_MISSING,
    HOST_REPEATED,
    HOST_INVALID,
    TARGET_FORM,
    TARGET_BYTE,
    TARGET_SCHEME,
    TARGET_AUTHORITY,
    TARGET_USERINFO,
    CONNECT,
    METHOD_INVALID,
    CODING_VERSION,
    CODING_WITH_LENGTH,
    CODING_REPEATED,
    CODING_NOT_LAST,
    CODING_UNKNOWN,
    LENGTH_REPEATED,
    LENGTH_INVALID,
    BODY_TOO_LARGE,
    TYPE_REPEATED,
    FRAMING_LOOKALIKE,
    SCHEME_CONTRADICTORY,
    EXPECTATION,
    CONNECTION_FIELD,
    TE_INVALID,
    N_RULES
};

static const struct refusal refusals[N_RULES] = {
    [HOST_MISSING] = { "host-missing", 400, "RFC 9112 3.2: an HTTP/1.1 request needs a Host field" },
    [HOST_REPEATED] = { "host-repeated", 400, "RFC 9112 3.2: more than one Host field" },
    [HOST_INVALID] = { "host-invalid", 400, "RFC 9112 3.2, RFC 3986 3.2: Host is not a host with an optional port" },
    [TARGET_FORM] = { "target-form", 400, "RFC 9112 3.2: the target has none of the forms allowed for the method" },
    [TARGET_BYTE] = { "target-byte", 400,
                      "RFC 3986 2: the target has a byte that no URI can have, and that would have to be "
                      "percent-encoded" },
    [TARGET_SCHEME] = { "target-scheme", 400, "RFC 9110 4.2: the target's scheme is neither http nor https" },
    [TARGET_AUTHORITY] = { "target-authority", 400, "RFC 9110 4.2.1: the target's host is empty or invalid" },
    [TARGET_USERINFO] = { "target-userinfo", 400, "RFC 9110 4.2.4: the target has user information" },
    [CONNECT] = { "connect", 501, "RFC 9110 9.3.6: CONNECT is for proxies" },
    [METHOD_INVALID] = { "method-invalid", 400, "RFC 9110 9.1: the method is not a token" },
    [CODING_VERSION] = { "coding-version", 400, "RFC 9112 6.1: Transfer-Encoding in an HTTP/1.0 request" },
    [CODING_WITH_LENGTH] = { "coding-with-length", 400, "RFC 9112 6.1: Transfer-Encoding and Content-Length together" },
    [CODING_REPEATED] = { "coding-repeated", 400, "RFC 9112 7.1: more than one Transfer-Encoding field" },
    [CODING_NOT_LAST] = { "coding-not-last", 400, "RFC 9112 6.3: the last transfer coding is not chunked" },
    [CODING_UNKNOWN] = { "coding-unknown", 501, "RFC 9112 6.1: a transfer coding other than chunked" },
    [LENGTH_REPEATED] = { "length-repeated", 400, "RFC 9112 6.3: more than one Content-Length field" },
    [LENGTH_INVALID] = { "length-invalid", 400, "RFC 9110 8.6: Content-Length is not a number of at most 18 digits" },
    [BODY_TOO_LARGE] = { "body-too-large", 413, "RFC 9110 15.5.14: Content-Length is above limit_request_body" },
    [TYPE_REPEATED] = { "type-repeated", 400, "RFC 9110 8.3: more than one Content-Type field" },
    [FRAMING_LOOKALIKE] = { "framing-lookalike", 400,
                            "RFC 3875 4.1.18: Content_Length or Transfer_Encoding, which CGI names cannot tell from "
                            "the framing fields" },
    [SCHEME_CONTRADICTORY] = { "scheme-contradictory", 400,
                               "X-Forwarded-Proto and X-Forwarded-Ssl of a trusted proxy contradict each other" },
    [EXPECTATION] = { "expectation", 417, "RFC 9110 10.1.1: an expectation other than 100-continue" },
    [CONNECTION_FIELD] = { "connection-field", 400, "RFC 9113 8.2.2: a connection-specific field in HTTP/2" },
    [TE_INVALID] = { "te-invalid", 400, "RFC 9113 8.2.2: TE in HTTP/2 may only be trailers" },
};

static inline const struct refusal *refuse(enum rule rule)
{
    return &refusals[rule];
}

const struct refusal *head_rules_named(const char *name)
{
    for (size_t i = 0; i < N_RULES; i++) {
        if (strcmp(refusals[i].name, name) == 0)
            return &refusals[i];
    }
    return NULL;
}

int head_rules_known(struct span name)
{
#define IS(text, field)                              \
    if (memcmp(name.p, text, sizeof(text) - 1) == 0) \
    return field
    switch (name.n) {
    case 2:
        IS("te", FIELD_TE);
        break;
    case 4:
        IS("host", FIELD_HOST);
        break;
    case 6:
        IS("expect", FIELD_EXPECT);
        break;
    case 7:
        IS("upgrade", FIELD_UPGRADE);
        IS("referer", FIELD_REFERER);
        break;
    case 9:
        IS("forwarded", FIELD_FORWARDED);
        break;
    case 10:
        IS("user-agent", FIELD_USER_AGENT);
        IS("connection", FIELD_CONNECTION);
        break;
    case 13:
        IS("authorization", FIELD_AUTHORIZATION);
        break;
    case 14:
        IS("content-length", FIELD_CONTENT_LENGTH);
        break;
    case 15:
        IS("x-forwarded-for", FIELD_X_FORWARDED_FOR);
        break;
    case 16:
        IS("x-forwarded-host", FIELD_X_FORWARDED_HOST);
        IS("x-forwarded-port", FIELD_X_FORWARDED_PORT);
        break;
    case 17:
        IS("transfer-encoding", FIELD_TRANSFER_ENCODING);
        IS("x-forwarded-proto", FIELD_X_FORWARDED_PROTO);
        break;
    case 18:
        IS("x-forwarded-prefix", FIELD_X_FORWARDED_PREFIX);
        break;
    }
#undef IS
    return -1;
}

/* --- host and port (RFC 3986 3.2.2, 3.2.3) --- */

static bool valid_port(const char *p, size_t n)
{
    unsigned port = 0;
    if (n > 5)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        port = port * 10 + (unsigned)(p[i] - '0');
    }
    return port <= 65535;
}

/* "[" IPv6address "]": no zone, no IPvFuture. Returns its length, 0 = invalid. */
static size_t ip_literal(struct span s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    const char *end = memchr(s.p, ']', s.n);
    if (!end || (size_t)(end - s.p - 1) >= sizeof(text))
        return 0;
    size_t n = (size_t)(end - s.p - 1);
    memcpy(text, s.p + 1, n);
    text[n] = '\0';
    return inet_pton(AF_INET6, text, &addr) == 1 ? n + 2 : 0;
}

static size_t reg_name(struct span s)
{
    size_t i = 0;
    while (i < s.n) {
        if (h1_is_host((unsigned char)s.p[i]))
            i++;
        else if (s.p[i] == '%' && s.n - i > 2 && h1_is_hex((unsigned char)s.p[i + 1]) &&
                 h1_is_hex((unsigned char)s.p[i + 2]))
            i += 3;
        else
            break;
    }
    return i;
}

/* A comma is legal in a reg-name, but what it means in practice is two Host fields folded into one: refused. */
bool head_rules_valid_host(struct span s)
{
    size_t n;
    if (s.n && s.p[0] == '[') {
        n = ip_literal(s);
        if (n == 0)
            return false;
    } else {
        n = reg_name(s);
        if (n == 0 && s.n)
            return false; /* ":80" */
    }
    return n == s.n || (s.p[n] == ':' && valid_port(s.p + n + 1, s.n - n - 1));
}

/* --- target (RFC 9112 3.2) --- */

/* Splits [at, at + n) of the head, which starts with "/" or "?" or is empty, into path and query. A % that begins no escape
 * (RFC 3986 2.1) stands for itself, here as for other servers: it has no second meaning that could mislead. */
static void take_path(struct req *r, struct piece whole)
{
    struct span s = req_span(r, whole);
    const char *mark = memchr(s.p, '?', s.n);
    uint32_t n = mark ? (uint32_t)(mark - s.p) : whole.n;
    r->path = (struct piece){ whole.at, n };
    r->query = mark ? (struct piece){ whole.at + n + 1, whole.n - n - 1 } : (struct piece){ whole.at + n, 0 };
}

static const struct refusal *take_absolute(struct req *r, struct span target)
{
    const char *sep = memmem(target.p, target.n, "://", 3);
    if (!sep)
        return refuse(TARGET_FORM);
    struct span scheme = { target.p, (size_t)(sep - target.p) };
    if (!span_ieq(scheme, SPAN("http")) && !span_ieq(scheme, SPAN("https")))
        return refuse(TARGET_SCHEME);

    struct span authority = { sep + 3, 0 };
    size_t rest = target.n - scheme.n - 3;
    while (authority.n < rest && authority.p[authority.n] != '/' && authority.p[authority.n] != '?')
        authority.n++;
    if (memchr(authority.p, '@', authority.n))
        return refuse(TARGET_USERINFO);
    if (authority.n == 0 || !head_rules_valid_host(authority))
        return refuse(TARGET_AUTHORITY);

    uint32_t at = (uint32_t)(authority.p - r->head);
    if (r->known[FIELD_HOST])
        r->fields[r->known[FIELD_HOST] - 1].value = (struct piece){ at, (uint32_t)authority.n };
    struct piece whole = { at + (uint32_t)authority.n, (uint32_t)(rest - authority.n) };
    take_path(r, whole);
    if (r->path.n == 0) /* an empty path is "/" (RFC 9110 4.2.3): one of the slashes of "://" stands for it */
        r->path = (struct piece){ at - 1, 1 };
    return NULL;
}

static const struct refusal *judge_target(struct req *r)
{
    struct span target = req_span(r, r->target), method = req_span(r, r->method);
    if (span_eq(method, SPAN("CONNECT")) && !span_eq(req_span(r, r->protocol), SPAN("websocket")))
        return refuse(CONNECT);
    if (target.n && target.p[0] == '/') {
        take_path(r, r->target);
        return NULL;
    }
    if (span_eq(target, SPAN("*")) && span_eq(method, SPAN("OPTIONS"))) {
        r->path = r->target;
        r->query = (struct piece){ r->target.at + 1, 0 };
        return NULL;
    }
    if (r->version == HTTP_2) /* :path is origin-form or "*" (RFC 9113 8.3.1) */
        return refuse(TARGET_FORM);
    return take_absolute(r, target);
}

/* --- fields --- */

/* How often the fields that may stand only once are there, and the first of each. */
struct census {
    unsigned hosts, lengths, codings, types;
    struct span host, length, coding;
    bool bad_expectation, connection_field, te_invalid, lookalike;
};

static void count_field(const struct req *r, const struct field *f, struct census *c)
{
    struct span name = req_span(r, f->name), value = req_span(r, f->value);
    switch (name.n) {
    case 2:
        if (span_eq(name, SPAN("te")))
            c->te_invalid |= !span_ieq(value, SPAN("trailers"));
        break;
    case 4:
        if (span_eq(name, SPAN("host")) && c->hosts++ == 0)
            c->host = value;
        break;
    case 6:
        if (span_eq(name, SPAN("expect")))
            c->bad_expectation |= value.n && !span_ieq(value, SPAN("100-continue"));
        break;
    case 7:
        c->connection_field |= span_eq(name, SPAN("upgrade"));
        break;
    case 10:
        c->connection_field |= span_eq(name, SPAN("connection")) || span_eq(name, SPAN("keep-alive"));
        break;
    case 12:
        c->types += span_eq(name, SPAN("content-type"));
        break;
    case 14:
        if (span_eq(name, SPAN("content-length")) && c->lengths++ == 0)
            c->length = value;
        c->lookalike |= span_eq(name, SPAN("content_length"));
        break;
    case 16:
        c->connection_field |= span_eq(name, SPAN("proxy-connection"));
        break;
    case 17:
        if (span_eq(name, SPAN("transfer-encoding")) && c->codings++ == 0)
            c->coding = value;
        c->lookalike |= span_eq(name, SPAN("transfer_encoding"));
        break;
    }
}

static const struct refusal *judge_host(const struct req *r, const struct census *c)
{
    if (c->hosts == 0)
        return r->version == HTTP_1_1 ? refuse(HOST_MISSING) : NULL;
    if (c->hosts > 1)
        return refuse(HOST_REPEATED);
    return head_rules_valid_host(c->host) ? NULL : refuse(HOST_INVALID);
}

/* Exactly one field that says exactly "chunked": empty list elements, parameters and other codings are where two
 * readers of one message come to disagree. */
static const struct refusal *judge_coding(struct req *r, const struct census *c)
{
    if (c->codings == 0)
        return NULL;
    if (r->version == HTTP_2)
        return refuse(CONNECTION_FIELD);
    if (r->version == HTTP_1_0)
        return refuse(CODING_VERSION);
    if (c->lengths)
        return refuse(CODING_WITH_LENGTH);
    if (c->codings > 1)
        return refuse(CODING_REPEATED);
    if (!span_ieq(c->coding, SPAN("chunked"))) {
        const char *comma = memrchr(c->coding.p, ',', c->coding.n);
        if (!comma)
            return refuse(CODING_NOT_LAST);
        struct span last = { comma + 1, (size_t)(c->coding.p + c->coding.n - comma - 1) };
        return span_ieq(span_trim(last), SPAN("chunked")) ? refuse(CODING_UNKNOWN) : refuse(CODING_NOT_LAST);
    }
    r->chunked = true;
    return NULL;
}

static const struct refusal *judge_length(struct req *r, const struct census *c, uint64_t limit_body)
{
    if (c->lengths == 0)
        return NULL;
    if (c->lengths > 1)
        return refuse(LENGTH_REPEATED);
    if (c->length.n == 0 || c->length.n > MAX_LENGTH_DIGITS)
        return refuse(LENGTH_INVALID);
    int64_t length = 0;
    for (size_t i = 0; i < c->length.n; i++) {
        char digit = c->length.p[i];
        if (digit < '0' || digit > '9')
            return refuse(LENGTH_INVALID);
        length = length * 10 + (digit - '0');
    }
    if (limit_body && (uint64_t)length > limit_body)
        return refuse(BODY_TOO_LARGE);
    r->content_length = length;
    return NULL;
}

/* What the guard and http-parser see to in HTTP/1 (nghttp2 lets "#" and 8-bit bytes through). */
static const struct refusal *judge_h2_bytes(const struct req *r)
{
    struct span target = req_span(r, r->target), method = req_span(r, r->method);
    for (size_t i = 0; i < target.n; i++) {
        unsigned char c = (unsigned char)target.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return refuse(TARGET_BYTE);
    }
    for (size_t i = 0; i < method.n; i++) {
        if (!h1_is_token((unsigned char)method.p[i]))
            return refuse(METHOD_INVALID);
    }
    return method.n ? NULL : refuse(METHOD_INVALID);
}

static const struct refusal *judge_h2(const struct req *r, const struct census *c)
{
    if (c->connection_field)
        return refuse(CONNECTION_FIELD);
    if (c->te_invalid)
        return refuse(TE_INVALID);
    return judge_h2_bytes(r);
}

const struct refusal *head_rules_judge(struct req *r, uint64_t limit_body)
{
    struct census census = { 0 };
    const struct refusal *why;

    r->content_length = -1;
    r->chunked = false;
    for (uint32_t i = 0; i < r->n_fields; i++)
        count_field(r, &r->fields[i], &census);

    if (r->version == HTTP_2 && (why = judge_h2(r, &census)))
        return why;
    /* Framing first: of several faults, the one that could be used for smuggling is named. */
    if ((why = judge_coding(r, &census)) || (why = judge_length(r, &census, limit_body)) ||
        (why = judge_host(r, &census)) || (why = judge_target(r)))
        return why;
    if (census.lookalike)
        return refuse(FRAMING_LOOKALIKE);
    if (census.types > 1)
        return refuse(TYPE_REPEATED);
    /* An HTTP/1.0 client cannot expect anything (RFC 9110 10.1.1). */
    if (census.bad_expectation && r->version != HTTP_1_0)
        return refuse(EXPECTATION);

    if (r->version != HTTP_2) {
        r->body_complete = !r->chunked && r->content_length <= 0;
        r->expect_continue &= !r->body_complete;
    }
    return NULL;
}
