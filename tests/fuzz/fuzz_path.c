/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_path.c: the path of a target with any bytes: its split into path and query, who answers it, and which file it
 * names. A prefix must match where a reader of its own says so; a path that a handler gets must be that handler's in every
 * other reading too; the name of a file must never climb, and must come back when it is encoded. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/http1/h1_guard.h"
#include "worker/http1/h1_parse.h"
#include "worker/http/handler.h"
#include "worker/http/head_rules.h"
#include "worker/http/req.h"
#include "worker/http/route.h"
#include "worker/static/static_open.h"

const char *const fuzz_corpora[] = { NULL };

static const struct h1_limits limits = { 5000, 20, 200, 8000 };
static const char *const prefixes[] = { "/api", "/static", "/api/v1", "/a b", "/\xc3\xa4" };
#define N_PREFIXES (sizeof prefixes / sizeof *prefixes)

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Every well-formed escape, once. Returns the length. */
static size_t decode(char *to, struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool escape = s.p[i] == '%' && i + 2 < s.n && digit(s.p[i + 1]) >= 0 && digit(s.p[i + 2]) >= 0;
        to[n++] = escape ? (char)(digit(s.p[i + 1]) << 4 | digit(s.p[i + 2])) : s.p[i];
        i += escape ? 2 : 0;
    }
    return n;
}

static bool has_encoded_slash(struct span s)
{
    for (size_t i = 0; i + 2 < s.n; i++)
        if (s.p[i] == '%' && s.p[i + 1] == '2' && (s.p[i + 2] | 0x20) == 'f')
            return true;
    return false;
}

/* --- files --- */

/* No empty name, none of dots alone, none hidden but for the one that may be. */
static void must_stay_below(const char *s)
{
    MUST(*s != '/');
    for (const char *name = s; *name; name += strcspn(name, "/"), name += *name == '/') {
        size_t n = strcspn(name, "/");
        MUST(n && (name[0] != '.' || (name == s && n == 11 && !memcmp(name, ".well-known", 11))));
    }
}

static void file_of(struct span rest)
{
    static const char hex[] = "0123456789abcdef";
    struct static_path path, again;
    if (!static_path_decode(&path, rest))
        return;
    MUST(path.n < PATH_MAX && strlen(path.s) == path.n);
    MUST(path.slash == (!path.n || path.s[path.n - 1] == '/'));
    must_stay_below(path.s);
    char *encoded = malloc(1 + 3 * path.n), *to = encoded, plain[PATH_MAX];
    *to++ = '/';
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.s[i];
        *to++ = c == '/' ? '/' : '%';
        if (c != '/')
            *to++ = hex[c >> 4], *to++ = hex[c & 15];
    }
    MUST(static_path_decode(&again, (struct span){ encoded, (size_t)(to - encoded) }));
    MUST(again.n == path.n && !memcmp(again.s, path.s, path.n) && again.slash == path.slash);
    if (rest.n && rest.n < sizeof plain)
        MUST(decode(plain, (struct span){ rest.p + 1, rest.n - 1 }) == path.n && !memcmp(plain, path.s, path.n));
    free(encoded);
}

/* --- prefixes --- */

static size_t matches(struct span prefix, struct span path)
{
    char *plain = malloc(path.n + 1);
    size_t found = 0;
    for (size_t at = 1; at <= path.n && !found; at++) {
        struct span head = { path.p, at };
        if ((at == path.n || path.p[at] == '/') && !has_encoded_slash(head) && decode(plain, head) == prefix.n &&
            !memcmp(plain, prefix.p, prefix.n))
            found = at;
    }
    free(plain);
    return found;
}

/* Decoded, encoded slashes and all, then segment by segment; "/a//./b/../c" is "/a/c". */
static size_t other_reading(char *to, struct span path)
{
    char *plain = malloc(path.n + 1);
    size_t n = decode(plain, path), out = 0, starts[1024], depth = 0;
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && plain[i] != '/')
            i++;
        struct span segment = { plain + from, i - from };
        i++;
        if (!segment.n || span_eq(segment, SPAN(".")))
            continue;
        if (span_eq(segment, SPAN(".."))) {
            out = depth ? starts[--depth] : 0;
            continue;
        }
        MUST(depth < 1024);
        starts[depth++] = out;
        to[out++] = '/';
        memcpy(to + out, segment.p, segment.n);
        out += segment.n;
    }
    free(plain);
    return out;
}

/* The longest prefix of a decoded path; N_PREFIXES: none. */
static size_t owner_of(struct span path)
{
    size_t best = N_PREFIXES, length = 0;
    for (size_t i = 0; i < N_PREFIXES; i++) {
        struct span p = span_of(prefixes[i]);
        if (path.n >= p.n && !memcmp(path.p, p.p, p.n) && (path.n == p.n || path.p[p.n] == '/') && p.n > length)
            best = i, length = p.n;
    }
    return best;
}

static struct handler *asked;

static void on_request(struct handler *h, struct req *r)
{
    asked = h;
}

static void route(struct req *r)
{
    static const struct handler_ops ops = { .name = "fuzz", .on_request = on_request };
    struct handler handlers[N_PREFIXES + 1], nobody = { &ops }; /* the last: the rest */
    struct router *router = router_new();
    struct span path = req_span(r, r->path);
    char *plain = malloc(path.n + 1);
    for (size_t i = 0; i <= N_PREFIXES; i++) {
        handlers[i].ops = &ops;
        if (i < N_PREFIXES)
            MUST(!router_add(router, prefixes[i], &handlers[i], NULL, 0));
    }
    struct handler *h = router_handler(router, &handlers[N_PREFIXES], &nobody);
    h->ops->on_request(h, r);
    MUST(r->handler == asked);
    size_t owner = owner_of((struct span){ plain, other_reading(plain, path) });
    MUST(asked == &nobody || asked == &handlers[owner]);
    if (asked != &nobody && owner < N_PREFIXES)
        MUST(route_match(span_of(prefixes[owner]), path));
    free(plain);
    router_free(router);
}

/* --- targets --- */

static void target(const uint8_t *data, size_t size)
{
    struct h1_scan scan = { 0 };
    struct req r;
    size_t start, end, n = 0;
    char *head = malloc(size + 40);
    memset(&r, 0, sizeof r);
    memcpy(head, "GET ", n = 4);
    if (size)
        memcpy(head + n, data, size);
    n += size;
    memcpy(head + n, " HTTP/1.1\r\nHost: a\r\n\r\n", 22);
    n += 22;
    if (h1_guard_head(head, n, &limits, &scan, &start, &end) == H1_GUARD_OK && start == 0 && end == n &&
        h1_parse_head(&r, head, n) == H1_PARSE_OK && !head_rules_judge(&r, 0)) {
        struct span t = req_span(&r, r.target), path = req_span(&r, r.path), query = req_span(&r, r.query);
        MUST(!memchr(path.p, '?', path.n) && path.p[0] == '/');
        /* Both are its end, but for an address without a path, whose slash is borrowed from "://". */
        if (query.n)
            MUST(query.p[-1] == '?' && query.p + query.n == t.p + t.n);
        if (t.p[0] == '/' || path.p - t.p > 7)
            MUST(path.p + path.n +
                     (query.n ? 1 + query.n : memchr(path.p, '?', (size_t)(t.p + t.n - path.p)) != NULL) ==
                 t.p + t.n);
        route(&r);
        file_of(path);
    }
    free(r.fields);
    free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 900)
        return 0;
    char *copy = fuzz_copy(data, size);
    struct span path = { copy, size };
    if (!size || copy[0] == '/')
        file_of(path);
    for (size_t i = 0; i < N_PREFIXES; i++)
        MUST(route_match(span_of(prefixes[i]), path) == matches(span_of(prefixes[i]), path));
    free(copy);
    target(data, size);
    return 0;
}
