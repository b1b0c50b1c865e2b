/* SPDX-License-Identifier: BSD-3-Clause */
/* roll.h: server.reload_strategy = rolling: the next generation takes the place of the current one a worker at a time, so
 * that there is never more than one worker beyond those that are wanted.
 *
 * Forward: a worker of the next generation boots and proves itself, then one of the current generation leaves; when that
 * process is gone, the following one boots. Back, after a failure on the way: workers that have proved themselves linger,
 * serving, until the current generation has been filled again, one for one; so that no capacity is lost even if its
 * workers do not start any more.
 *
 * What each generation may have follows from counts: a death at any moment leaves nothing to be put right. */
#ifndef TINE_MASTER_FLEET_ROLL_H
#define TINE_MASTER_FLEET_ROLL_H

#include <stdbool.h>

struct fleet;
struct generation;
struct slot;

struct roll {
    bool on; /* forward; a next generation is there */
    unsigned proved; /* so many of its workers have proved themselves: the current generation gives up as many */
};

/* How many workers the next generation may have now. */
unsigned roll_wants_next(const struct fleet *fleet);
/* The same of the current one. */
unsigned roll_wants_current(const struct fleet *fleet);
/* READY workers of the service: those of the current generation, and those that a roll counts on. */
unsigned roll_ready(const struct fleet *fleet);
/* The worker serves for good, or until one of the current generation takes its place. */
bool roll_counts_on(const struct slot *slot);
/* Processes of a generation that lingers are left. */
unsigned roll_lingering(const struct fleet *fleet);

/* --- roll_step.c --- */

/* The next generation, without workers yet, is to roll in. */
void roll_begin(struct fleet *fleet);
/* Of the next generation more workers are READY than have proved themselves. */
bool roll_has_news(const struct fleet *fleet);
/* All that are READY have proved themselves, and they are fewer than the generation is to have: an old worker leaves. */
void roll_forward(struct fleet *fleet);
/* The next generation has become the current one: what lingered leaves. */
void roll_end(struct fleet *fleet);
/* It failed, and is not the next one any more: those of its workers that have proved themselves are to linger when it is
 * stopped. True: there are some. */
bool roll_give_up(struct fleet *fleet, struct generation *failed);
/* Takes the next step back, if one is due: a worker that lingers leaves. To be called whenever a worker is READY or gone. */
void roll_step(struct fleet *fleet);

#endif
