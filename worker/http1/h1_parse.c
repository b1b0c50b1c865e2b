/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_parse.c: runs http-parser over a guarded head and keeps what it found as offsets.
 *
 * The only file that includes http_parser.h. The parser lives on the stack for the one call and never sees a byte
 * after the head: bodies are framed by h1_body.c. What it refuses is refused; what it accepts is judged again by
 * head_rules.c, so nothing here depends on its leniency.
 */
#include "worker/http1/h1_parse.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>

#include "worker/http/head_rules.h"
#include "worker/http/req.h"

#define MAX_FIELDS UINT16_MAX /* known[] holds an index + 1 in 16 bits */

struct parse {
    struct req *r;
    bool value_due;   /* a name was seen, its value not yet */
    bool no_memory;
    bool complete;
};

static struct piece piece_at(const struct req *r, const char *at, size_t n)
{
    return (struct piece){ (uint32_t)(at - r->head), (uint32_t)n };
}

static int on_url(http_parser *hp, const char *at, size_t n)
{
    const struct req *r = ((struct parse *)hp->data)->r;
    return at == r->head + r->target.at && n == r->target.n ? 0 : -1;
}

static int grow_fields(struct req *r)
{
    uint32_t cap = r->cap_fields ? r->cap_fields * 2 : 16;
    struct field *v = reallocarray(r->fields, cap, sizeof(*v));
    if (!v)
        return -1;
    r->fields = v;
    r->cap_fields = cap;
    return 0;
}

/* Eight bytes at a time: with 0x3f added those from A on reach the high bit, with 0x25 those after Z. */
static void lower(char *p, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x;
        memcpy(&x, p + i, sizeof(x));
        uint64_t low = x & 0x7f7f7f7f7f7f7f7fu;
        uint64_t from_a = low + 0x3f3f3f3f3f3f3f3fu, above_z = low + 0x2525252525252525u;
        uint64_t lowered = x | (from_a & ~above_z & ~x & 0x8080808080808080u) >> 2;
        memcpy(p + i, &lowered, sizeof(lowered));
    }
    for (; i < n; i++)
        if ((unsigned char)(p[i] - 'A') < 26)
            p[i] = (char)(p[i] | 0x20);
}

static int on_header_field(http_parser *hp, const char *at, size_t n)
{
    struct parse *ctx = hp->data;
    struct req *r = ctx->r;
    /* The whole head is fed at once: every name and value comes in one piece, in turn. Anything else would mean that
     * the parser and the guard disagree about lines. */
    if (ctx->value_due || n == 0 || r->n_fields >= MAX_FIELDS)
        return -1;
    if (r->n_fields == r->cap_fields && grow_fields(r) < 0) {
        ctx->no_memory = true;
        return -1;
    }
    struct field *f = &r->fields[r->n_fields];
    f->name = piece_at(r, at, n);
    ctx->value_due = true;
    return 0;
}

static int on_header_value(http_parser *hp, const char *at, size_t n)
{
    struct parse *ctx = hp->data;
    struct req *r = ctx->r;
    if (!ctx->value_due)
        return -1;
    ctx->value_due = false;
    struct span value = span_trim((struct span){ at, n });
    r->fields[r->n_fields++].value = piece_at(r, value.p, value.n);
    return 0;
}

static int on_headers_complete(http_parser *hp)
{
    struct parse *ctx = hp->data;
    ctx->complete = !ctx->value_due;
    return 0; /* never 1 or 2: for a request they would make the body the next request */
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
};

/* The request line, which has passed the guard: two SP, and eight bytes of version. Known before the parser runs, so
 * that a refused request has a name in the log, and so that both have to agree. */
static void take_line(struct req *r, size_t n)
{
    const char *sp = memchr(r->head, ' ', n);
    const char *eol = memchr(sp, '\r', (size_t)(r->head + n - sp));
    r->method = piece_at(r, r->head, (size_t)(sp - r->head));
    r->target = piece_at(r, sp + 1, (size_t)(eol - sp) - sizeof(" HTTP/1.1"));
    r->version = eol[-1] == '1' ? HTTP_1_1 : HTTP_1_0;
    r->is_head = r->method.n == 4 && memcmp(r->head, "HEAD", 4) == 0;
}

struct connection {
    bool close, keep_alive;
};

static void note_connection(struct span list, struct connection *ret)
{
    struct span option;
    while (span_next_element(&list, &option)) {
        if (span_ieq(option, SPAN("close")))
            ret->close = true;
        else if (span_ieq(option, SPAN("keep-alive")))
            ret->keep_alive = true;
    }
}

/* Lowers names, fills known[] with the first of each, and takes what Connection, TE and Expect say. Keep-alive is
 * decided here, at the end of the head and over all Connection fields (RFC 9112 9.3), so no trailer can change it. */
static void take_fields(struct req *r)
{
    struct connection connection = { false, false };
    for (uint32_t i = 0; i < r->n_fields; i++) {
        struct field *f = &r->fields[i];
        lower(r->head + f->name.at, f->name.n);
        int known = head_rules_known(req_span(r, f->name));
        if (known < 0)
            continue;
        if (!r->known[known])
            r->known[known] = (uint16_t)(i + 1);
        struct span value = req_span(r, f->value);
        if (known == FIELD_CONNECTION)
            note_connection(value, &connection);
        else if (known == FIELD_TE)
            r->te_trailers |= span_list_has(value, SPAN("trailers"));
        else if (known == FIELD_EXPECT) /* RFC 9110 10.1.1: ignored in an HTTP/1.0 request */
            r->expect_continue |= r->version == HTTP_1_1 && span_ieq(value, SPAN("100-continue"));
    }
    r->keep_alive = !connection.close && (r->version == HTTP_1_1 || connection.keep_alive);
}

/* http-parser refuses a HTAB after the values of Content-Length and Transfer-Encoding, where OWS may stand (RFC 9112
 * 5.1). OWS is no part of a value: as SP it means the same. */
static void blank_trailing_tabs(char *head, size_t n)
{
    if (!memchr(head, '\t', n))
        return;
    const char *end = head + n;
    for (char *cr = head; (cr = memchr(cr, '\r', (size_t)(end - cr))); cr++) {
        for (char *p = cr; p > head && (p[-1] == ' ' || p[-1] == '\t'); p--)
            p[-1] = ' ';
    }
}

/* http-parser knows methods by a list and refuses all others, but any token is a method (RFC 9110 9.1), and this one has
 * been read already: the parser is shown GET in its place. CONNECT is shown as it is, for its target has another form. */
static size_t feed(http_parser *hp, const struct req *r, const char *head, size_t n)
{
    static const char stand_in[] = "GET";
    size_t skip = span_eq(req_span(r, r->method), SPAN("CONNECT")) ? 0 : r->method.n;
    if (skip && http_parser_execute(hp, &settings, stand_in, sizeof(stand_in) - 1) != sizeof(stand_in) - 1)
        return 0;
    return skip + http_parser_execute(hp, &settings, head + skip, n - skip);
}

/* http-parser looks at lengths itself, before the rules can. */
static enum h1_parse_result why_not(const http_parser *hp, const struct parse *ctx)
{
    if (ctx->no_memory)
        return H1_PARSE_NO_MEMORY;
    switch (HTTP_PARSER_ERRNO(hp)) {
    case HPE_INVALID_CONTENT_LENGTH:
        return H1_PARSE_LENGTH_INVALID;
    case HPE_UNEXPECTED_CONTENT_LENGTH: /* at the value of a second one, or at the end of all fields */
        return ctx->value_due ? H1_PARSE_LENGTH_REPEATED : H1_PARSE_CODING_WITH_LENGTH;
    default:
        return H1_PARSE_BAD;
    }
}

static enum h1_parse_result run_parser(struct req *r, char *head, size_t n)
{
    /* Its own limit (80 KB, a global of the library) is below what the guard may be configured to let through. The
     * store is idempotent and made only by heads that need it. */
    if (n >= HTTP_MAX_HEADER_SIZE)
        http_parser_set_max_header_size(UINT32_MAX);
    struct parse ctx = { .r = r };
    http_parser hp;
    http_parser_init(&hp, HTTP_REQUEST);
    hp.data = &ctx;
    size_t used = feed(&hp, r, head, n);
    if (ctx.complete && used == n && HTTP_PARSER_ERRNO(&hp) == HPE_OK)
        return H1_PARSE_OK;
    r->n_fields = 0;
    return why_not(&hp, &ctx);
}

enum h1_parse_result h1_parse_head(struct req *r, char *head, size_t n)
{
    r->head = head;
    r->head_owned = false;
    r->n_fields = 0;
    memset(r->known, 0, sizeof(r->known));
    r->path = r->query = (struct piece){ 0, 0 };
    r->keep_alive = r->te_trailers = r->expect_continue = false;
    take_line(r, n);
    blank_trailing_tabs(head, n);
    enum h1_parse_result result = run_parser(r, head, n);
    if (result == H1_PARSE_OK)
        take_fields(r);
    return result;
}

#define TEXT(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *h1_parse_version(void)
{
    return VERSION_TEXT(HTTP_PARSER_VERSION_MAJOR, HTTP_PARSER_VERSION_MINOR, HTTP_PARSER_VERSION_PATCH);
}
