/* SPDX-License-Identifier: BSD-3-Clause */
/* pace.h: whether a peer keeps up with a least rate of bytes. It owes bytes for the time in which we wait for it, and pays
 * with those that come (or that it takes); what it pays beyond is not kept, so one that was fast may not stop for longer
 * than another. The time is the wheel's ready_ms: what holds our own loop up is not the peer's fault.
 *
 * Without a rate the peer owes time alone, and the first byte pays for all of it: a limit for each pause.
 */
#ifndef TINE_NET_PACE_H
#define TINE_NET_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wheel;

/* All zero: nothing owed, no one waits. */
struct pace {
    uint64_t owed; /* until since_ms: bytes * 1000; without a rate ms */
    uint64_t since_ms; /* wheel->ready_ms when the waiting began, or was last reckoned */
    bool waits;
};

/* We wait for the peer from now on, or no longer. `rate` is in bytes a second, 0: none; the same in all calls. */
void pace_wait(struct pace *p, const struct wheel *w, uint64_t rate);
void pace_rest(struct pace *p, const struct wheel *w, uint64_t rate);
/* n bytes came; cheap while nothing is owed. */
void pace_paid(struct pace *p, const struct wheel *w, uint64_t rate, uint64_t n);
/* It was not the peer's fault: nothing is owed, and the waiting begins anew. */
void pace_forgive(struct pace *p, const struct wheel *w);
/* How many ms we wait before the peer is late by `grace_ms` at this rate; 0: it is. */
uint64_t pace_left(const struct pace *p, const struct wheel *w, uint64_t rate, uint64_t grace_ms);

#endif
