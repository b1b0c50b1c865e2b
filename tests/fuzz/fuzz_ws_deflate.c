/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_ws_deflate.c: permessage-deflate over any bytes, taken as offers, as what a client has compressed, and as a message
 * to compress. An answer must be one to the client's offer; however a compressed message is cut, the same must come of
 * it, never more than the limit; and what we compress must inflate to itself. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/ws/ws_deflate.h"

#define LIMIT 20000

const char *const fuzz_corpora[] = { "ws_offers.json", "ws_frames.json", NULL };

struct outcome {
    enum ws_inflated how;
    size_t n;
    uint32_t sum;
};

static uint32_t sum_of(struct span s)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < s.n; i++)
        sum = sum * 31 + (unsigned char)s.p[i];
    return sum;
}

static struct ws_deflate *made(struct ws_deflate_pool *pool, const struct ws_deflate_params *params)
{
    struct ws_deflate *d = ws_deflate_new(pool, params);
    MUST(d);
    return d;
}

/* Two messages, so that the second meets the context that the first has left. */
static struct outcome inflate_twice(struct ws_deflate_pool *pool, const struct ws_deflate_params *params,
                                    struct span in, size_t step)
{
    struct ws_deflate *d = made(pool, params);
    struct outcome o = { .how = WS_INFLATED };
    for (int i = 0; i < 2 && o.how == WS_INFLATED; i++) {
        struct buf to = { 0 };
        size_t at = 0;
        do {
            size_t n = in.n - at < step ? in.n - at : step;
            o.how = ws_deflate_inflate(d, (struct span){ in.p + at, n }, at + n == in.n, &to, LIMIT);
            at += n;
        } while (o.how == WS_INFLATED && at < in.n);
        MUST(buf_len(&to) <= LIMIT);
        if (o.how == WS_INFLATED) {
            o.n += buf_len(&to);
            o.sum = o.sum * 31 + sum_of(buf_span(&to));
        }
        buf_release(&to);
    }
    ws_deflate_free(d);
    return o;
}

/* A reference beyond a small window, which a client must not make, is noticed by zlib or not, as its input is cut. */
static void must_not_depend_on_cuts(struct ws_deflate_pool *pool, const struct ws_deflate_params *params,
                                    struct span in)
{
    struct outcome whole = inflate_twice(pool, params, in, in.n ? in.n : 1);
    struct outcome cut = inflate_twice(pool, params, in, in.n ? (unsigned char)in.p[in.n - 1] % 7 + 1 : 1);
    MUST(cut.how == whole.how || (params->client_max_window_bits < 15 && cut.how == WS_INFLATE_BAD));
    MUST(whole.how != WS_INFLATED || cut.how != WS_INFLATED || (cut.n == whole.n && cut.sum == whole.sum));
}

static void must_come_back(struct ws_deflate_pool *pool, const struct ws_deflate_params *params, struct span message)
{
    /* Our own output as a client's, whose window is then ours. */
    struct ws_deflate_params back = { .client_no_context_takeover = params->server_no_context_takeover,
                                      .client_max_window_bits = params->server_max_window_bits,
                                      .server_max_window_bits = 12 };
    struct ws_deflate *d = made(pool, params), *client = made(pool, &back);
    for (int i = 0; i < 2; i++) {
        struct span small;
        struct buf to = { 0 };
        MUST(ws_deflate_compress(d, message, &small) == 0 && small.n > 0);
        MUST(ws_deflate_inflate(client, small, true, &to, message.n) == WS_INFLATED);
        MUST(buf_len(&to) == message.n && (!message.n || memcmp(to.p + to.start, message.p, message.n) == 0));
        buf_release(&to);
    }
    ws_deflate_free(client);
    ws_deflate_free(d);
}

static bool negotiate(const struct ws_deflate_pool *pool, struct span offers, struct ws_deflate_params *ret)
{
    char field[WS_DEFLATE_FIELD];
    size_t n;
    struct ws_deflate_params again;
    if (!ws_deflate_negotiate(pool, offers, ret, field, &n))
        return false;
    MUST(n < sizeof field && strlen(field) == n && strncmp(field, "permessage-deflate", 18) == 0);
    MUST(memmem(offers.p, offers.n, "permessage-deflate", 18));
    MUST(ret->server_max_window_bits >= 9 && ret->server_max_window_bits <= WS_DEFLATE_WINDOW);
    MUST(ret->client_max_window_bits >= 8 && ret->client_max_window_bits <= 15);
    /* The answer, offered, is answered with the same terms. */
    MUST(ws_deflate_negotiate(pool, (struct span){ field, n }, &again, field, &n));
    MUST(again.server_max_window_bits == ret->server_max_window_bits &&
         again.client_max_window_bits == ret->client_max_window_bits &&
         again.server_no_context_takeover == ret->server_no_context_takeover &&
         again.client_no_context_takeover == ret->client_no_context_takeover);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = { (const char *)data, size };
    struct ws_deflate_params params;
    struct ws_deflate_pool *pool = ws_deflate_pool_new();
    MUST(pool);
    if (!negotiate(pool, in, &params))
        params = (struct ws_deflate_params){ .server_max_window_bits = 9, .client_max_window_bits = 15 };
    params.client_no_context_takeover |= size && data[size - 1] & 1;
    must_not_depend_on_cuts(pool, &params, in);
    must_come_back(pool, &params, in);
    MUST(ws_deflate_budget_left(pool) == WS_DEFLATE_BUDGET);
    ws_deflate_pool_free(pool);
    return 0;
}
