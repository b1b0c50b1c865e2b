/* SPDX-License-Identifier: BSD-3-Clause */
/* test_histogram.c: the buckets of durations, and what the scoreboard makes of them when workers come and go. */
#include "common/histogram.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/scoreboard.h"
#include "tests/unit/unit.h"

/* Every duration lies above the bound of the bucket before its own, and not above its own. */
static void test_bounds(void)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t bound = histogram_bound(i);
        wrong += histogram_index(bound) != i || histogram_index(bound + 1) != i + 1;
        wrong += i && histogram_bound(i) <= histogram_bound(i - 1);
    }
    CHECK_MSG(wrong == 0, "%u buckets", wrong);
    CHECK(histogram_index(0) == 0 && histogram_bound(0) == 100);
    CHECK(histogram_bound(99) == 10000 && histogram_bound(100) == 11000);
    CHECK(histogram_bound(HISTOGRAM_BUCKETS - 2) == 100000000000);
    CHECK(histogram_index(UINT64_MAX) == HISTOGRAM_BUCKETS - 1);
    CHECK(histogram_bound(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

/* A bucket is a tenth of its bound at most, from 10 us on. */
static void test_width(void)
{
    unsigned wide = 0;
    for (unsigned i = 100; i < HISTOGRAM_BUCKETS - 1; i++)
        wide += (histogram_bound(i) - histogram_bound(i - 1)) * 10 > histogram_bound(i - 1);
    CHECK(wide == 0);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_quantiles(void)
{
    enum { N = 100000 };
    static struct histogram h;
    static struct histogram_sum sum, later, between;
    static uint64_t sample[N];
    uint64_t seed = 42, all = 0, within = 0;
    for (unsigned i = 0; i < N; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t scale = 1000u << (seed >> 60); /* 1 us to 32 ms and their multiples */
        sample[i] = (seed >> 20) % (scale * 10) + 10000;
        all += sample[i];
        within += sample[i] <= 2500000;
        histogram_add(&h, sample[i]);
    }
    histogram_read(&h, &sum);
    qsort(sample, N, sizeof(*sample), compare);
    CHECK(histogram_total(&sum) == N && sum.sum_ns == all);
    CHECK(histogram_at_most(&sum, 2500000) == within);
    static const double shares[] = { 0.01, 0.5, 0.9, 0.99, 0.999, 1.0 };
    for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
        uint64_t real = sample[(size_t)(shares[i] * N) - 1], got = histogram_quantile(&sum, shares[i]);
        CHECK_MSG(got >= real && got - real <= real / 10, "%g: %" PRIu64 ", not %" PRIu64, shares[i], got, real);
    }
    histogram_add(&h, 1000000000);
    histogram_read(&h, &later);
    histogram_between(&between, &later, &sum);
    CHECK(histogram_total(&between) == 1 && histogram_quantile(&between, 0.5) == 1000000000 &&
          between.sum_ns == 1000000000);
    histogram_merge(&between, &sum);
    CHECK(memcmp(&between, &later, sizeof(between)) == 0);
    histogram_clear(&h);
    memset(&sum, 0, sizeof(sum));
    histogram_read(&h, &sum);
    CHECK(histogram_total(&sum) == 0 && histogram_quantile(&sum, 0.99) == 0 && sum.sum_ns == 0);
    histogram_add(&h, 500000000000);
    histogram_read(&h, &sum);
    CHECK(histogram_quantile(&sum, 0.5) == 100000000000 && histogram_at_most(&sum, 100000000000) == 0);
}

static void test_past(void)
{
    static struct score_sums sums, one;
    struct scoreboard *board = scoreboard_new(8);
    CHECK(board != NULL && board->used == 0);
    scoreboard_clear(board, 2);
    CHECK(board->used == 3);
    struct score *score = &board->slot[2];
    score_request_over(score, 200, SCORE_GET, 1000000);
    score_request_over(score, 404, SCORE_POST, 2000000);
    score_request_over(score, 0, SCORE_GET, 1);
    score_request_over(score, 999, SCORE_METHOD_OTHER, 1);
    score_add32(&score->inflight, 3);
    score_add64(&score->bytes_in, 700);
    atomic_store(&score->tls_expires, 50);
    scoreboard_sum(board, &sums);
    CHECK(sums.requests == 4 && sums.inflight == 3 && sums.bytes_in == 700 && sums.tls_expires == 50);
    CHECK(score_status_class(&sums, 2) == 1 && score_status_class(&sums, 4) == 1 && score_status_class(&sums, 0) == 2);
    CHECK(sums.method[SCORE_GET] == 2 && sums.method[SCORE_POST] == 1 && sums.method[SCORE_METHOD_OTHER] == 1);
    scoreboard_clear(board, 2);
    scoreboard_sum(board, &sums);
    CHECK(sums.requests == 4 && sums.inflight == 0 && sums.bytes_in == 700 && sums.tls_expires == 0);
    CHECK(histogram_total(&sums.latency) == 4 && sums.latency.sum_ns == 3000002);
    score_request_over(score, 200, SCORE_GET, 5);
    score_read(score, &one);
    scoreboard_sum(board, &sums);
    CHECK(one.requests == 1 && sums.requests == 5 && sums.status[100] == 2);
    scoreboard_free(board);
}

static void test_routes(void)
{
    static struct score_sums sums;
    char name[128];
    struct scoreboard *board = scoreboard_new(3);
    for (unsigned worker = 0; worker < 3; worker++) {
        scoreboard_clear(board, worker);
        for (unsigned i = 0; i < 40; i++) {
            int n = snprintf(name, sizeof(name), "GET /%u/%u", worker, i);
            score_add64(&score_route(&board->slot[worker], name, (size_t)n)->slow, 1);
        }
        memset(name, 'x', sizeof(name));
        score_add64(&score_route(&board->slot[worker], name, sizeof(name))->blocked, 2);
    }
    CHECK(board->slot[0].n_routes == SCORE_ROUTES && strcmp(board->slot[0].route[0].name, "GET /0/0") == 0);
    CHECK(strcmp(board->slot[0].route[SCORE_ROUTES - 1].name, SCORE_ROUTE_OTHERS) == 0);
    scoreboard_clear(board, 0);
    scoreboard_sum(board, &sums);
    uint64_t slow = 0, blocked = 0;
    for (unsigned i = 0; i < sums.n_routes; i++) {
        slow += sums.route[i].slow;
        blocked += sums.route[i].blocked;
    }
    CHECK(slow == 120 && blocked == 6);
    CHECK(sums.n_routes == SCORE_ROUTES_ALL);
    CHECK(strcmp(sums.route[SCORE_ROUTES_ALL - 1].name, SCORE_ROUTE_OTHERS) == 0);
    scoreboard_free(board);
}

/* Whoever has taken over a worker can write anything, and everywhere in what is shared. */
static void test_nonsense_of_workers(void)
{
    static struct score_sums sums;
    struct score_request found[SCORE_REQUESTS];
    struct scoreboard *board = scoreboard_new(3);
    for (unsigned i = 0; i < 2; i++)
        scoreboard_clear(board, i);
    memset((void *)board->common, 0xff, sizeof(*board->common));
    memset((void *)board->slot, 0xff, 3 * sizeof(*board->slot));
    scoreboard_sum(board, &sums);
    CHECK(sums.n_routes == 1 && strlen(sums.route[0].name) == SCORE_ROUTE - 1);
    CHECK(score_read_requests(&board->slot[0], found) == SCORE_REQUESTS);
    CHECK(strlen(found[0].line) == SCORE_LINE - 1 && strlen(found[0].client) == SCORE_CLIENT - 1);
    scoreboard_clear(board, 0);
    CHECK(board->used == 2 && board->n == 3 && board->past.n_routes == 1);
    scoreboard_free(board);
}

int main(void)
{
    test_bounds();
    test_width();
    test_quantiles();
    test_past();
    test_routes();
    test_nonsense_of_workers();
    return unit_done();
}
