/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h2_walk.c: frames told apart however the bytes are cut; budgets. */
#include <string.h>

#include "tests/unit/unit.h"
#include "worker/http2/h2_budget.h"
#include "worker/http2/h2_walk.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* SETTINGS, HEADERS, DATA of 3, PRIORITY, RST_STREAM, an unknown one of 2, a short PRIORITY, empty DATA, DATA of 2 with
 * 4 bytes of padding, DATA that says it has more padding than there is, DATA too short to say how much, PRIORITY_UPDATE,
 * one that is too short. */
static const char input[] = PREFACE "\0\0\0\4\0\0\0\0\0"
                                    "\0\0\2\1\4\0\0\0\1\x82\x84"
                                    "\0\0\3\0\0\0\0\0\1abc"
                                    "\0\0\5\2\0\0\0\0\3\x80\0\0\3\x10"
                                    "\0\0\4\3\0\0\0\0\1\0\0\0\x08"
                                    "\0\0\2\x42\0\0\0\0\0xy"
                                    "\0\0\2\2\0\0\0\0\5zz"
                                    "\0\0\0\0\1\x80\0\0\7"
                                    "\0\0\7\0\x08\0\0\0\11\4ab\0\0\0\0"
                                    "\0\0\2\0\x08\0\0\0\11\xff\0"
                                    "\0\0\0\0\x08\0\0\0\11"
                                    "\0\0\7\x10\0\0\0\0\0\0\0\0\5u=1"
                                    "\0\0\3\x10\0\0\0\0\0\0\0\5";

static const struct h2_walked expected[] = {
    { 4, 0, 0, 0, 0, 0 },    { 1, 4, 1, 2, 0, 0 },  { 0, 0, 1, 3, 0, 0 },  { 2, 0, 3, 5, 0, 3 }, { 3, 0, 1, 4, 0, 0 },
    { 0x42, 0, 0, 2, 0, 0 }, { 2, 0, 5, 2, 0, 0 },  { 0, 1, 7, 0, 0, 0 },  { 0, 8, 9, 7, 5, 0 }, { 0, 8, 9, 2, 2, 0 },
    { 0, 8, 9, 0, 0, 0 },    { 16, 0, 0, 7, 0, 5 }, { 16, 0, 0, 3, 0, 0 },
};

#define N_EXPECTED (sizeof expected / sizeof expected[0])

static void walk_cut(size_t piece)
{
    struct h2_walk w;
    struct h2_walked got;
    size_t found = 0, all = sizeof input - 1;
    bool same = true;
    h2_walk_init(&w);
    for (size_t at = 0; at < all; at += piece) {
        const uint8_t *p = (const uint8_t *)input + at;
        size_t n = all - at < piece ? all - at : piece;
        while (h2_walk_next(&w, &p, &n, &got)) {
            const struct h2_walked *e = &expected[found++ % N_EXPECTED];
            same &= got.type == e->type && got.flags == e->flags && got.stream == e->stream &&
                    got.length == e->length && got.padding == e->padding && got.depends == e->depends;
        }
        same &= n == 0;
    }
    CHECK(same && found == N_EXPECTED);
}

static void budget(void)
{
    struct h2_budget b = { .most = 3, .per_second = 2, .at_ms = 1000 };
    CHECK(h2_spend(&b, 1, 1000) && h2_spend(&b, 1, 1000) && h2_spend(&b, 1, 1000));
    CHECK(!h2_spend(&b, 1, 1000) && !h2_spend(&b, 1, 1499));
    CHECK(h2_spend(&b, 1, 1500) && !h2_spend(&b, 1, 1501));
    CHECK(!h2_spend(&b, 2, 2000) && h2_spend(&b, 2, 2500) && !h2_spend(&b, 1, 2500));
    h2_earn(&b, 2, 100);
    CHECK(h2_spend(&b, 2, 2500) && !h2_spend(&b, 1, 2500));
    h2_earn(&b, 100, 5);
    CHECK(!h2_spend(&b, 6, 2500) && h2_spend(&b, 5, 2500) && !h2_spend(&b, 1, 2500));
    h2_earn(&b, 1, 5);
    CHECK(h2_spend(&b, 2, 3000) && !h2_spend(&b, 1, 3000));
    CHECK(h2_spend(&b, 1, 100000) && h2_spend(&b, 1, 100000) && h2_spend(&b, 1, 100000) && !h2_spend(&b, 1, 100000));
}

int main(void)
{
    for (size_t piece = 1; piece <= sizeof input; piece++)
        walk_cut(piece);
    budget();
    return unit_done();
}
