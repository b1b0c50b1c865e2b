/* SPDX-License-Identifier: BSD-3-Clause */
/* test_pace.c: what a peer owes and pays, on a clock that the test turns. */
#include "worker/net/pace.h"

#include "tests/unit/unit.h"
#include "worker/net/deadline.h"

#define RATE 500
#define GRACE 20000

static struct wheel wheel;

static uint64_t left(const struct pace *p)
{
    return pace_left(p, &wheel, RATE, GRACE);
}

static void test_waiting(void)
{
    struct pace p = { 0 };
    CHECK(left(&p) == GRACE);
    wheel.ready_ms += 5000; /* nobody waits */
    CHECK(left(&p) == GRACE);
    pace_wait(&p, &wheel, RATE);
    wheel.ready_ms += 5000;
    CHECK(left(&p) == GRACE - 5000);
    pace_rest(&p, &wheel, RATE);
    wheel.ready_ms += 100000;
    CHECK(left(&p) == GRACE - 5000);
    pace_wait(&p, &wheel, RATE);
    wheel.ready_ms += GRACE - 5000 - 1;
    CHECK(left(&p) == 1);
    wheel.ready_ms += 1;
    CHECK(left(&p) == 0);
    wheel.ready_ms += 1000000;
    CHECK(left(&p) == 0);
    pace_forgive(&p, &wheel);
    CHECK(left(&p) == GRACE);
}

static void test_paying(void)
{
    struct pace p = { 0 };
    pace_paid(&p, &wheel, RATE, 1000000); /* ahead: not kept */
    pace_wait(&p, &wheel, RATE);
    wheel.ready_ms += 10000;
    pace_paid(&p, &wheel, RATE, 1);
    CHECK(left(&p) == GRACE - 10000 + 2);
    pace_paid(&p, &wheel, RATE, 499);
    CHECK(left(&p) == GRACE - 10000 + 1000);
    pace_paid(&p, &wheel, RATE, 0);
    CHECK(left(&p) == GRACE - 10000 + 1000);
    pace_paid(&p, &wheel, RATE, 4500);
    CHECK(left(&p) == GRACE);
    pace_paid(&p, &wheel, RATE, UINT64_MAX);
    wheel.ready_ms += GRACE;
    CHECK(left(&p) == 0);
}

/* At the rate for ever; a byte a second below it not. */
static void test_for_long(void)
{
    struct pace p = { 0 }, q = { 0 };
    unsigned seconds = 0;
    pace_wait(&p, &wheel, RATE);
    for (; seconds < 1000000 && left(&p); seconds++) {
        wheel.ready_ms += 1000;
        pace_paid(&p, &wheel, RATE, RATE);
    }
    CHECK(seconds == 1000000);
    pace_wait(&q, &wheel, RATE);
    for (seconds = 0; seconds < 1000000 && left(&q); seconds++) {
        wheel.ready_ms += 1000;
        pace_paid(&q, &wheel, RATE, RATE - 1);
    }
    CHECK(seconds == RATE * GRACE / 1000);
}

static void test_without_a_rate(void)
{
    struct pace p = { 0 };
    pace_wait(&p, &wheel, 0);
    wheel.ready_ms += 999;
    CHECK(pace_left(&p, &wheel, 0, 1000) == 1);
    pace_paid(&p, &wheel, 0, 1);
    CHECK(pace_left(&p, &wheel, 0, 1000) == 1000);
    wheel.ready_ms += 1000;
    CHECK(pace_left(&p, &wheel, 0, 1000) == 0);
}

static void test_large_rates(void)
{
    struct pace p = { 0 };
    uint64_t rate = 1u << 30, day = 86400000;
    pace_wait(&p, &wheel, rate);
    CHECK(pace_left(&p, &wheel, rate, day) == day);
    wheel.ready_ms += day - 10;
    CHECK(pace_left(&p, &wheel, rate, day) == 10);
    wheel.ready_ms += 2 * day;
    CHECK(pace_left(&p, &wheel, rate, day) == 0);
}

int main(void)
{
    test_waiting();
    test_paying();
    test_for_long();
    test_without_a_rate();
    test_large_rates();
    return unit_done();
}
