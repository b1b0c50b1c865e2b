/* SPDX-License-Identifier: BSD-3-Clause */
/* experience.h: what the lives of workers say of the interpreter that they were given: from messages and ends to the verdict
 * of their generation (verdict.h). A failure in a sub-interpreter that the main one may not have is kept back: it is
 * reported only if nothing else is tried. */
#ifndef TINE_MASTER_FLEET_EXPERIENCE_H
#define TINE_MASTER_FLEET_EXPERIENCE_H

#include <stdbool.h>
#include <stddef.h>

struct slot;

/* The worker says why it cannot start (IPC_FAILED). */
void experience_failed(struct slot *slot, const char *text, size_t n);
/* It says what refuses its sub-interpreter (IPC_NEED_MAIN). One that is READY serves on: recycle.c replaces all that live
 * in one. */
void experience_refused(struct slot *slot, const char *text, size_t n);
/* It is READY. */
void experience_ready(struct slot *slot);
/* It has ended, as `words` say. `blamed`: verdict_blames() said so; `boot`: it has not been READY, and nothing is to blame
 * but itself. Before slot_clear(). */
void experience_ended(struct slot *slot, bool blamed, bool boot, const char *words);

#endif
