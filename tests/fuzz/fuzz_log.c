/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_log.c: a format of the access log, and a line of it for a request whose every value is made of any bytes. It must
 * stay one line of printable ASCII with no quote but the format's own; in JSON, one object that a parser takes. What the
 * error log escapes must hold no control character either. */
#include <string.h>

#include "common/log.h"
#include "conf/log_format.h"
#include "master/tinectl/tinectl_json.h"
#include "tests/fuzz/fuzz.h"
#include "worker/log/access_line.h"
#include "worker/http/req.h"

#define LIMIT 60 /* of one value */

const char *const fuzz_corpora[] = { NULL };

static const char *const names[] = { "referer", "user-agent", "authorization", "host", "x-a", "x-a" };
static const int known[] = { FIELD_REFERER, FIELD_USER_AGENT, FIELD_AUTHORIZATION, FIELD_HOST, -1, -1 };
#define N_FIELDS (sizeof names / sizeof *names)

static struct piece put(struct req *r, size_t *at, struct span s)
{
    struct piece where = { (uint32_t)*at, (uint32_t)s.n };
    if (s.n)
        memcpy(r->head + *at, s.p, s.n);
    *at += s.n;
    return where;
}

static void request_make(struct req *r, struct endpoint *client, const uint8_t *p, size_t n)
{
    size_t at = 0;
    memset(r, 0, sizeof *r);
    r->head = malloc(n + 200);
    r->fields = calloc(N_FIELDS, sizeof *r->fields);
    MUST(r->head && r->fields);
    r->version = n % 3 == 0 ? HTTP_1_0 : n % 3 == 1 ? HTTP_1_1 : HTTP_2;
    r->status = (uint16_t)(n & 1 ? 200 : 999);
    r->sent_body = n * 0x123456789abcdu;
    r->method = put(r, &at, fuzz_take(&p, &n));
    r->target = put(r, &at, fuzz_take(&p, &n));
    r->path = put(r, &at, fuzz_take(&p, &n));
    r->query = put(r, &at, fuzz_take(&p, &n));
    struct span host = fuzz_take(&p, &n);
    *client = (struct endpoint){ .port = 1 };
    memcpy(client->host, host.p, host.n < sizeof client->host ? host.n : sizeof client->host - 1);
    r->client = client;
    for (; r->n_fields < N_FIELDS && n; r->n_fields++) {
        r->fields[r->n_fields].name = put(r, &at, span_of(names[r->n_fields]));
        r->fields[r->n_fields].value = put(r, &at, fuzz_take(&p, &n));
        if (known[r->n_fields] >= 0)
            r->known[known[r->n_fields]] = (uint16_t)(r->n_fields + 1);
    }
    MUST(!buf_add(&r->logged_fields, "X-B\0", 4) && !buf_add(&r->logged_fields, p, n) &&
         !buf_add(&r->logged_fields, "", 1));
}

static size_t count(struct span s, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == c;
    return n;
}

/* What stands between the atoms is the operator's, and may be anything. */
static void must_be_a_line(struct span line, const struct log_format *f)
{
    size_t quotes = 0, ends = 0, others = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct span text = { f->v[i].text, f->v[i].n };
        if (f->v[i].kind != LOG_ATOM_LITERAL)
            continue;
        quotes += count(text, '"');
        ends += count(text, '\n');
        for (size_t k = 0; k < text.n; k++)
            others += (unsigned char)text.p[k] < 0x20 || (unsigned char)text.p[k] >= 0x7f;
    }
    MUST(line.n && line.p[line.n - 1] == '\n' && count(line, '\n') == ends + 1);
    MUST(count(line, '"') == quotes);
    size_t control = 0;
    for (size_t i = 0; i < line.n - 1; i++)
        control += (unsigned char)line.p[i] < 0x20 || (unsigned char)line.p[i] >= 0x7f;
    MUST(control == others);
}

static void must_be_json(struct span line, const struct req *r)
{
    MUST(line.n && line.p[line.n - 1] == '\n' && count(line, '\n') == 1);
    for (size_t i = 0; i < line.n - 1; i++)
        MUST((unsigned char)line.p[i] >= 0x20 && line.p[i] != 0x7f);
    struct json *tree = json_parse(line.p, line.n - 1);
    MUST(tree && tree->kind == JSON_OBJECT && !tree->next);
    const struct json *path = json_get(tree, "path"), *pid = json_get(tree, "pid");
    struct span want = req_span(r, r->path);
    size_t plain = 0;
    MUST(path && path->kind == JSON_STRING && pid && pid->kind == JSON_NUMBER);
    while (plain < want.n && plain < LIMIT - 10 && want.p[plain] > 0 && want.p[plain] != '\\')
        plain++;
    MUST(want.n > LIMIT / 6 || (strlen(path->text) >= plain && !memcmp(path->text, want.p, plain)));
    json_free(tree);
}

static void add_line(const struct log_format *f, const struct req *r)
{
    struct buf out = { 0 };
    struct timespec now = { 784111777, 999999999 };
    struct access_time cache = { 0 };
    MUST(access_line_add(&out, f, r, UINT64_MAX, &now, &cache, LIMIT) == 0);
    MUST(buf_len(&out) < 1000 + f->n * 1000);
    if (f->json)
        must_be_json(buf_span(&out), r);
    else
        must_be_a_line(buf_span(&out), f);
    buf_release(&out);
}

static void escape(struct span s)
{
    char *to = malloc(4 * s.n + 1);
    size_t n = log_escape(to, 4 * s.n, s.p, s.n, "\t");
    MUST(n >= s.n && n <= 4 * s.n);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)to[i];
        MUST((c >= 0x20 && c != 0x7f) || c == '\t');
        MUST(c != 0xc2 || i + 1 == n || ((unsigned char)to[i + 1] & 0xe0) != 0x80);
    }
    for (size_t room = 0; room < n && room < 50; room++)
        MUST(log_escape(to, room, s.p, s.n, "\t") <= room);
    free(to);
}

/* A format up to the first NUL, then the values. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const usual[] = { "json", "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"" };
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size;
    char *text = malloc(n + 1);
    memcpy(text, size ? (const char *)data : "", n);
    text[n] = '\0';
    const uint8_t *rest = zero ? zero + 1 : data;
    struct req r;
    struct endpoint client;
    request_make(&r, &client, rest, size - (size_t)(rest - data));
    for (int i = 0; i < 3; i++) {
        const char *why = NULL, *format = i < 2 ? usual[i] : text;
        size_t at = 0;
        struct log_format f;
        if (log_format_parse(format, &f, &why, &at) < 0) {
            MUST(i == 2 && why && at <= n);
            continue;
        }
        add_line(&f, &r);
        log_format_done(&f);
    }
    escape((struct span){ text, n });
    buf_release(&r.logged_fields);
    free(r.head);
    free(r.fields);
    free(text);
    return 0;
}
