/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_answer.c: answers of an application whose fields have any bytes. Either the answer is refused and nothing of it is
 * sent, but 500 in its place, or what is sent is one answer: a reader of its own must find the very fields in it, and then
 * the very body. */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/rig.h"

#define MOST_FIELDS 12
#define BODY "the body"

const char *const fuzz_corpora[] = { NULL };

/* What the application answers: the first byte of the input says how. */
enum option {
    OPTION_HEAD = 1,
    OPTION_PIECES = 2,
    OPTION_TRAILERS = 4,
    OPTION_INTERIM = 8,
    OPTION_OLD = 16,
    OPTION_EMPTY = 32,
};

static struct rig rig;
static unsigned options;
static struct resp_field fields[MOST_FIELDS];
static size_t n_fields;
static enum resp_result started, interim;

static void on_request(struct handler *h, struct req *r)
{
    struct resp_head head = { .status = options & OPTION_EMPTY ? 204 : 200,
                              .fields = fields,
                              .n_fields = n_fields,
                              .trailers = options & OPTION_TRAILERS };
    if (options & OPTION_INTERIM)
        interim = resp_interim(r, 103, fields, n_fields);
    started = resp_start(r, &head);
    if (started != RESP_SENT) {
        resp_abort(r);
        return;
    }
    bool trailers = options & OPTION_TRAILERS;
    enum resp_result result = RESP_SENT;
    if (options & OPTION_PIECES)
        result = resp_body(r, SPAN("the "), true);
    if (result == RESP_SENT)
        result = resp_body(r, options & OPTION_PIECES ? SPAN("body") : SPAN(BODY), false);
    if (result == RESP_SENT && trailers)
        (void)!resp_trailers(r, fields, n_fields, false);
}

static void on_nothing(struct req *r)
{
}

static void on_end(struct req *r, enum req_end why)
{
}

/* --- the reader --- */

/* One line without its CRLF, in which no other control character but HTAB may stand. */
static struct span take_line(struct span *s)
{
    const char *end = s->n ? memmem(s->p, s->n, "\r\n", 2) : NULL;
    MUST(end);
    struct span line = { s->p, (size_t)(end - s->p) };
    MUST(!memchr(line.p, '\r', line.n) && !memchr(line.p, '\n', line.n) && !memchr(line.p, '\0', line.n));
    s->n -= line.n + 2;
    s->p = end + 2;
    return line;
}

/* Field lines up to the empty one; which of the application's are there. `last`: the value of this name. */
static size_t take_fields(struct span *s, const char *name, struct span *ret_value)
{
    size_t known = 0;
    *ret_value = (struct span){ NULL, 0 };
    for (struct span line; (line = take_line(s)).n;) {
        const char *colon = memmem(line.p, line.n, ": ", 2);
        MUST(colon && colon > line.p);
        struct span field = { line.p, (size_t)(colon - line.p) }, value = { colon + 2, line.n - field.n - 2 };
        size_t before = known;
        for (size_t i = 0; i < n_fields && known == before; i++)
            known += span_eq(field, fields[i].name) && span_eq(value, fields[i].value);
        bool own = false;
        static const char *const names[] = { "server", "date", "connection", "content-length", "transfer-encoding" };
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            own |= span_ieq(field, span_of(names[i]));
        MUST(own || known > before);
        if (span_ieq(field, span_of(name))) {
            MUST(!ret_value->p);
            *ret_value = value;
        }
    }
    return known;
}

static void must_end_chunks(struct span s)
{
    size_t n = 0;
    for (;;) {
        struct span line = take_line(&s);
        unsigned long size = strtoul(line.p, NULL, 16);
        if (!size)
            break;
        MUST(s.n >= size + 2 && n + size <= strlen(BODY) && !memcmp(s.p, &BODY[n], size) &&
             !memcmp(s.p + size, "\r\n", 2));
        s.p += size + 2;
        s.n -= size + 2;
        n += size;
    }
    struct span coding;
    take_fields(&s, "transfer-encoding", &coding);
    MUST(!coding.p && !s.n && n == strlen(BODY));
}

static void must_be_one_answer(struct span s)
{
    struct span status = take_line(&s), coding, first = s, length;
    MUST(status.n > 12 && !memcmp(status.p, "HTTP/1.1 ", 9));
    if (!memcmp(status.p + 9, "103", 3)) {
        take_fields(&s, "content-length", &length);
        MUST((options & OPTION_INTERIM) && !length.p);
        must_be_one_answer(s);
        return;
    }
    take_fields(&first, "transfer-encoding", &coding);
    take_fields(&s, "content-length", &length);
    MUST(!coding.p || (!length.p && span_eq(coding, SPAN("chunked"))));
    if (options & (OPTION_HEAD | OPTION_EMPTY))
        MUST(!s.n);
    else if (coding.p)
        must_end_chunks(s);
    else if (length.p) {
        unsigned long n = strtoul(length.p, NULL, 10);
        MUST(s.n <= n && s.n <= strlen(BODY) && !memcmp(s.p, BODY, s.n));
    } else {
        MUST((options & OPTION_OLD) && s.n == strlen(BODY) && !memcmp(s.p, BODY, s.n));
    }
}

/* Nothing of the application's but what stands in an interim answer. */
static void must_be_the_servers(struct span s)
{
    static const char status[] = "HTTP/1.1 500 Internal Server Error\r\n", body[] = "500 Internal Server Error\n";
    const char *at = s.n ? memmem(s.p, s.n, status, sizeof status - 1) : NULL;
    MUST(at && (at == s.p || ((options & OPTION_INTERIM) && interim == RESP_SENT)));
    MUST(options & OPTION_HEAD || !memcmp(s.p + s.n - (sizeof body - 1), body, sizeof body - 1));
}

static void start(void)
{
    static const struct handler_ops ops = {
        .name = "fuzz", .on_request = on_request, .on_drained = on_nothing, .on_peer_eof = on_nothing, .on_end = on_end
    };
    static struct handler handler = { &ops };
    rig_init(&rig, &handler);
    rig.conf.http.server_header = rig.conf.http.date_header = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char request[128];
    struct peer p;
    if (!rig.base)
        start();
    if (!size)
        return 0;
    options = *data++;
    size--;
    for (n_fields = 0; n_fields < MOST_FIELDS && size; n_fields++) {
        fields[n_fields].name = fuzz_take(&data, &size);
        fields[n_fields].value = fuzz_take(&data, &size);
    }
    snprintf(request, sizeof request, "%s / HTTP/1.%c\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
             options & OPTION_HEAD ? "HEAD" : "GET", options & OPTION_OLD ? '0' : '1');
    peer_open(&p, &rig);
    peer_say(&p, request);
    peer_shut(&p);
    peer_read_all(&p);
    struct span got = { peer_text(&p), buf_len(&p.got) };
    if (started == RESP_SENT)
        must_be_one_answer(got);
    else
        must_be_the_servers(got);
    peer_close(&p);
    return 0;
}
