/* SPDX-License-Identifier: BSD-3-Clause */
/* held.h: heads of answers that wait for the first piece of their body (REQ_HELD), and for how long: http.head_delay, and
 * those of text/event-stream only until the loop turns, because browsers report a stream as open when they have its head.
 * Nobody but this may send a head by itself. */
#ifndef TINE_HTTP_HELD_H
#define TINE_HTTP_HELD_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct held;
struct req;
struct resp_field;

/* `delay` in ms. NULL: out of memory. */
struct held *held_new(struct event_base *base, uint64_t delay);
/* All that wait must have gone. NULL is fine. */
void held_free(struct held *held);

/* The head of the answer is held from now on; at_once: until the loop turns. */
void held_add(struct held *held, struct req *r, bool at_once);
/* It is not any more; without effect if it does not wait. */
void held_remove(struct req *r);

/* Whether a field of an answer says that it is a stream of events. */
bool held_is_event_stream(const struct resp_field *f);

#endif
