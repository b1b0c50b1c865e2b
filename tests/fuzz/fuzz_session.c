/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_session.c: an HTTP/1 connection as the worker has it, over any bytes: heads, bodies, pipelined requests, refusals.
 * The last byte of the input chooses how it is cut a second time. However it is, the answers must be the same, and each
 * must be one that a server may send. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/asked.h"

const char *const fuzz_corpora[] = { "http1_tricky.json", "gunicorn_requests.json", NULL };

static struct rig rig;

static struct outcome talk(const uint8_t *data, size_t n, size_t step)
{
    struct outcome o = asked_talk(&rig, data, n, step, step);
    MUST(rig.score.inflight == 0 && rig.score.connections == 0);
    return o;
}

/* Answers one after the other, each of its length; those to HEAD have none. */
static void must_be_answers(struct span s)
{
    while (s.n) {
        const char *end = memmem(s.p, s.n, "\r\n\r\n", 4), *length, *asked;
        MUST(end && s.n > 12 && !memcmp(s.p, "HTTP/1.1 ", 9) && s.p[9] >= '2' && s.p[9] <= '5');
        size_t head = (size_t)(end + 4 - s.p), n = 0;
        length = memmem(s.p, head, "content-length: ", 16);
        asked = s.p + head;
        MUST(length);
        n = strtoul(length + 16, NULL, 10);
        if (n > s.n - head || (s.n - head >= 9 && !memcmp(asked, "HTTP/1.1 ", 9)))
            n = 0;
        s.p += head + n;
        s.n -= head + n;
    }
}

static void start(void)
{
    static struct handler handler = { &asked_ops };
    rig_init(&rig, &handler);
    /* A machine may have other things to do for a while. */
    rig.conf.http.keepalive = rig.conf.http.header_timeout = rig.conf.http.body_timeout = 3600000;
    rig.conf.http.limit_request_line = 200;
    rig.conf.http.limit_request_fields = 20;
    rig.conf.http.limit_request_field_size = 200;
    rig.conf.http.limit_request_body = 1 << 20;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig.base)
        start();
    if (!size || size > 3000)
        return 0;
    size_t step = data[size - 1] % 64 + 1;
    struct outcome whole = talk(data, size, size), cut = talk(data, size, step);
    MUST(outcome_same(&whole, &cut));
    must_be_answers(buf_span(&whole.got));
    outcome_release(&whole);
    outcome_release(&cut);
    return 0;
}
