/* SPDX-License-Identifier: BSD-3-Clause */
/* test_slots.c: the back-off between lives, who counts as wanted, and what is left of one life in the next. */
#include <event2/event.h>
#include <stdlib.h>

#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"
#include "tests/unit/unit.h"

static struct fleet fleet;
static struct generation generation;

static void on_event(evutil_socket_t fd, short what, void *slot)
{
}

static struct slot *setup(void)
{
    static const struct slot_events events = { on_event, on_event, on_event };
    fleet = (struct fleet){ .base = event_base_new(), .current = &generation };
    generation = (struct generation){ .number = 1 };
    CHECK(fleet.base && slots_init(&fleet.slots, &fleet, &events) == 0);
    return slots_take(&fleet.slots, &generation);
}

static void teardown(void)
{
    slots_done(&fleet.slots);
    event_base_free(fleet.base);
}

/* READY `lived` ms ago; 0: never. */
static unsigned next_pause(struct slot *slot, uint64_t lived, bool answered)
{
    slot->ready_ms = lived ? 1000000 - lived : 0;
    return slot_backoff(slot, 1000000, answered);
}

static void test_pauses_grow_up_to_half_a_minute(void)
{
    static const unsigned expected[] = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000 };
    struct slot *never = setup(), *early = slots_take(&fleet.slots, &generation);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        CHECK(next_pause(never, 0, false) == expected[i]);
        CHECK(next_pause(early, WORKER_PROOF_MS - 1, false) == expected[i] && early->early == i + 1);
    }
    CHECK(never->early == 0);
    teardown();
}

static void test_a_life_that_was_of_use_is_followed_soon(void)
{
    struct slot *slot = setup();
    for (int i = 0; i < 6; i++)
        next_pause(slot, 10, true);
    CHECK(slot->backoff_ms == 500 && slot->early == 6);
    CHECK(next_pause(slot, WORKER_PROOF_MS, false) == 500 && slot->early == 0);
    CHECK(next_pause(slot, 10000, false) == 100);
    teardown();
}

static void test_who_is_wanted(void)
{
    struct slot *slot = setup(), *other = slots_take(&fleet.slots, &generation);
    slot_set_state(slot, SLOT_STARTING);
    slot_set_state(slot, SLOT_READY);
    CHECK(slot_serves(slot, &generation) && !slot_serves(slot, NULL) && !slot_serves(other, &generation));
    CHECK(slots_wanted(&fleet.slots, &generation) == 2 && slots_ready(&fleet.slots, &generation) == 1);
    slot_set_farewell(slot, SLOT_RECYCLE);
    CHECK(slots_first_due(&fleet.slots, &generation) == slot && slots_wanted(&fleet.slots, &generation) == 2);
    slot_set_farewell(slot, SLOT_HUNG);
    CHECK(slot_is_hung(slot) && !slot_leaves(slot) && !slots_first_due(&fleet.slots, &generation));
    slot_set_farewell(slot, SLOT_HUNG_ASKED);
    CHECK(slot_is_hung(slot) && slot_was_asked(slot) && slots_wanted(&fleet.slots, &generation) == 1);
    teardown();
}

static void test_what_is_left_of_a_life(void)
{
    struct slot *stays = setup(), *leaves = slots_take(&fleet.slots, &generation);
    for (struct slot *slot = stays; slot; slot = slot == stays ? leaves : NULL) {
        slot->pid = 77;
        slot_set_state(slot, SLOT_STARTING);
        slot_set_state(slot, SLOT_READY);
        slot_set_farewell(slot, slot == stays ? SLOT_RECYCLE : SLOT_SELF);
        slot_clear(slot);
        CHECK(slot->state == SLOT_EMPTY && slot->pid == 0 && !slots_find(&fleet.slots, 77));
    }
    CHECK(stays->farewell == SLOT_STAYS && slot_leaves(leaves));
    CHECK(slot_release(leaves) == &generation && generation.n_slots == 1 && leaves->farewell == SLOT_STAYS);
    CHECK(slots_free(&fleet.slots) == SLOTS_MAX - 1);
    teardown();
}

int main(void)
{
    test_pauses_grow_up_to_half_a_minute();
    test_a_life_that_was_of_use_is_followed_soon();
    test_who_is_wanted();
    test_what_is_left_of_a_life();
    return unit_done();
}
