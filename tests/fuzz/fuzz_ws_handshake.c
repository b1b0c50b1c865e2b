/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_ws_handshake.c: opening handshakes out of any bytes: as a whole head, and as lines put into one that is sound but
 * for them. What is taken for a handshake must be one (RFC 6455 4.2.1), seen by a reader of its own. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"
#include "worker/http1/h1_guard.h"
#include "worker/http1/h1_parse.h"
#include "worker/http/head_rules.h"
#include "worker/http/req.h"
#include "worker/ws/ws.h"
#include "worker/ws/ws_key.h"

const char *const fuzz_corpora[] = { "ws_handshakes.json", "http1_tricky.json", NULL };

static const struct h1_limits limits = { 8190, 100, 8190, 65536 };

/* Half of the byte values stand for a piece that means something, so that random bytes make likely values. */
static const char *const pieces[] = {
    "Upgrade: ",
    "Connection: ",
    "Sec-WebSocket-Key: ",
    "Sec-WebSocket-Version: ",
    "Sec-WebSocket-Protocol: ",
    "websocket",
    "keep-alive",
    "13",
    "8",
    ",",
    ", ",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "\r\n",
    "h2c",
    "chat",
    "=",
};

static unsigned count(const struct req *r, const char *name, struct span *ret)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < r->n_fields; i++) {
        if (!span_eq(req_span(r, r->fields[i].name), span_of(name)))
            continue;
        *ret = req_span(r, r->fields[i].value);
        n++;
    }
    return n;
}

/* The word somewhere in the fields of this name, in any case: less than what the judge must see. */
static void must_mention(const struct req *r, const char *name, const char *word)
{
    size_t n = strlen(word);
    for (uint32_t i = 0; i < r->n_fields; i++) {
        struct span v = req_span(r, r->fields[i].value);
        if (!span_eq(req_span(r, r->fields[i].name), span_of(name)))
            continue;
        for (size_t at = 0; at + n <= v.n; at++) {
            if (strncasecmp(v.p + at, word, n) == 0)
                return;
        }
    }
    MUST(!"mentioned");
}

static void must_be_handshake(const struct req *r)
{
    char proof[WS_ACCEPT_LENGTH];
    struct span value = { NULL, 0 };
    MUST(span_eq(req_span(r, r->method), SPAN("GET")) && r->version == HTTP_1_1);
    MUST(!r->chunked && r->content_length <= 0);
    must_mention(r, "upgrade", "websocket");
    must_mention(r, "connection", "upgrade");
    MUST(count(r, "sec-websocket-version", &value) == 1 && span_eq(value, SPAN("13")));
    MUST(count(r, "sec-websocket-key", &value) == 1 && value.n == 24 && memcmp(value.p + 22, "==", 2) == 0);
    ws_accept_key(value, proof);
    MUST(proof[WS_ACCEPT_LENGTH - 1] == '=' && proof[WS_ACCEPT_LENGTH - 2] != '=');
}

static void must_offer_tokens(const struct req *r)
{
    struct ws_offer cursor = { 0 };
    struct span name;
    for (unsigned i = 0; ws_next_subprotocol(r, &cursor, &name); i++) {
        MUST(i < 8190 && name.n && name.p >= r->head);
        MUST(!memchr(name.p, ',', name.n) && !memchr(name.p, ' ', name.n) && !memchr(name.p, '"', name.n));
    }
}

static void judge(const char *p, size_t n)
{
    struct h1_scan scan = { 0 };
    struct req r;
    size_t start, end;
    memset(&r, 0, sizeof r);
    if (h1_guard_head(p, n, &limits, &scan, &start, &end) != H1_GUARD_OK)
        return;
    char *head = malloc(end - start);
    memcpy(head, p + start, end - start);
    if (h1_parse_head(&r, head, end - start) == H1_PARSE_OK && !head_rules_judge(&r, 1 << 20) &&
        r.known[FIELD_UPGRADE]) {
        struct ws_verdict verdict = ws_judge(&r);
        MUST(verdict.ask != WS_REFUSE || ((verdict.status == 400 || verdict.status == 426) && verdict.why));
        if (verdict.ask == WS_ASKED) {
            must_be_handshake(&r);
            must_offer_tokens(&r);
        }
    }
    free(r.fields);
    free(head);
}

/* The input's lines behind those that are needed, less the one that its first byte names. */
static void judge_lines(const uint8_t *data, size_t size)
{
    static const char *const needed[] = { "Upgrade: websocket\r\n", "Connection: Upgrade\r\n",
                                          "Sec-WebSocket-Version: 13\r\n",
                                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" };
    char *head = malloc(size * 32 + 300);
    size_t n = (size_t)sprintf(head, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (unsigned i = 0; i < 4; i++) {
        if (data[0] % 5 != i)
            n += (size_t)sprintf(head + n, "%s", needed[i]);
    }
    for (size_t i = 1; i < size; i++) {
        if (data[i] & 1)
            n += (size_t)sprintf(head + n, "%s", pieces[data[i] >> 1 & 15]);
        else
            head[n++] = (char)data[i];
    }
    n += (size_t)sprintf(head + n, "\r\n\r\n");
    judge(head, n);
    free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    judge((const char *)data, size);
    if (size && size < 800)
        judge_lines(data, size);
    return 0;
}
