/* SPDX-License-Identifier: BSD-3-Clause */
/* test_memory.c: what is kept for clients: who is refused, who never is, and when room has to be made. */
#include <stdlib.h>
#include <string.h>

#include "common/scoreboard.h"
#include "tests/unit/unit.h"
#include "worker/net/memory.h"

#define MB ((size_t)1 << 20)
#define LIMIT (64 * MB)

static struct score score;

static struct memory start(unsigned connections, size_t needs)
{
    struct memory m;
    memset(&score, 0, sizeof score);
    memory_init(&m, LIMIT, connections, needs, &score);
    return m;
}

static void test_one_connection(void)
{
    struct memory m = start(1000, 0);
    struct memory_share a = { 0, 0 };
    size_t part = 0, other = 0;
    CHECK(memory_hold(&m, &a, &part, LIMIT / 4));
    CHECK(!memory_hold(&m, &a, &other, 1) && other == 0 && a.held == LIMIT / 4);
    CHECK(!m.wanted); /* nobody else has to go for that */
    CHECK(!memory_hold(&m, &a, &part, LIMIT / 4 + 1) && part == LIMIT / 4);
    CHECK(memory_hold(&m, &a, &part, LIMIT / 8));
    CHECK(memory_hold(&m, &a, &other, LIMIT / 8));
    memory_keep(&m, &a, &part, 0);
    memory_keep(&m, &a, &other, 0);
    CHECK(!a.held && !m.held && score.memory_refused == 2);
}

static void test_what_the_configuration_allows(void)
{
    struct memory m = start(1000, LIMIT / 2);
    struct memory_share a = { 0, 0 };
    size_t part = 0;
    CHECK(memory_hold(&m, &a, &part, LIMIT / 2));
    m = start(1000, 3 * LIMIT);
    CHECK(m.most == LIMIT);
}

/* Those with little are served when nothing is left, and what they all have together is bounded too. */
static void test_many_connections(void)
{
    struct memory m = start(1000, 0);
    struct memory_share large[4] = { { 0, 0 } }, small = { 0, 0 };
    size_t parts[4] = { 0 }, part = 0;
    for (int i = 0; i < 4; i++)
        CHECK(memory_hold(&m, &large[i], &parts[i], LIMIT / 4));
    CHECK(m.small * 1000 <= LIMIT / 2);
    CHECK(memory_hold(&m, &small, &part, m.small));
    CHECK(!memory_hold(&m, &small, &part, m.small + 1) && m.wanted);
    CHECK(memory_is_busy(&m) && memory_wants_room(&m) && !memory_has_room(&m, 0));
    CHECK(memory_has_room(&m, LIMIT / 4));
    memory_keep(&m, &large[0], &parts[0], 0);
    memory_made_room(&m, 0);
    CHECK(!memory_wants_room(&m) && memory_hold(&m, &small, &part, m.small + 1));
    CHECK(start(1, 0).small == 16 << 10);
}

static void test_answers_are_not_refused(void)
{
    struct memory m = start(1000, 0);
    struct memory_share a = { 0, 0 };
    size_t part = 0;
    memory_keep(&m, &a, &part, LIMIT + 1);
    CHECK(memory_wants_room(&m));
    memory_made_room(&m, 0); /* nobody could be ended: it is not tried again for the same */
    CHECK(!memory_wants_room(&m));
    memory_keep(&m, &a, &part, LIMIT + 2);
    CHECK(memory_wants_room(&m));
    memory_leave(&a, part);
    CHECK(!a.held && m.held == LIMIT + 2);
    memory_keep(&m, NULL, &part, 0);
    CHECK(!m.held);
}

/* The same bytes for many clients are no reason to end any of them; others are. */
static void test_what_is_lent(void)
{
    struct memory m = start(1000, 0);
    struct memory_share a = { 0, 0 };
    size_t part = 0, held = 0;
    memory_lend(&m, &a, &part, LIMIT / 3);
    CHECK(!memory_wants_room(&m));
    memory_lend(&m, &a, &part, 3 * LIMIT);
    CHECK(!memory_wants_room(&m) && memory_hold(&m, &a, &held, LIMIT / 4));
    memory_keep(&m, &a, &held, 0);
    char *grown = malloc(LIMIT);
    memset(grown, 1, LIMIT);
    memory_lend(&m, &a, &part, 4 * LIMIT);
    CHECK(memory_wants_room(&m) && !memory_has_room(&m, 0));
    CHECK(grown[LIMIT - 1] == 1);
    free(grown);
    memory_lend(&m, &a, &part, 0);
    CHECK(!memory_wants_room(&m) && !memory_is_busy(&m) && !a.lent);
}

static void test_turn(void)
{
    struct memory m = start(1000, 0);
    struct memory_share a = { 0, 0 };
    size_t part = 0;
    CHECK(!memory_turn_is_full(&m));
    memory_keep(&m, &a, &part, LIMIT / 4 + 1);
    CHECK(memory_turn_is_full(&m));
    memory_turn(&m);
    CHECK(!memory_turn_is_full(&m));
}

static void test_trim(void)
{
    struct memory m = start(1000, 0);
    struct memory_share a = { 0, 0 };
    size_t part = 0;
    memory_keep(&m, &a, &part, 10 * MB);
    CHECK(!memory_wants_trim(&m));
    memory_keep(&m, &a, &part, 1 * MB);
    CHECK(memory_wants_trim(&m));
    memory_trim(&m);
    CHECK(!memory_wants_trim(&m));
}

static void test_no_limit(void)
{
    struct memory m;
    struct memory_share a = { 0, 0 };
    size_t part = 0;
    memory_init(&m, 0, 1000, 0, &score);
    CHECK(memory_hold(&m, &a, &part, (size_t)1 << 40) && !memory_is_busy(&m) && !memory_turn_is_full(&m));
}

int main(void)
{
    test_one_connection();
    test_what_the_configuration_allows();
    test_many_connections();
    test_answers_are_not_refused();
    test_what_is_lent();
    test_turn();
    test_trim();
    test_no_limit();
    return unit_done();
}
