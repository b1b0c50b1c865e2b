/* SPDX-License-Identifier: BSD-3-Clause */
/* admission.h: how many requests of a worker run at a time, how many wait, and how long each may take:
 * http.max_inflight, max_queue, queue_timeout, request_timeout. One for all applications of the worker, with a handler
 * (a gate) in front of each. Made only where one of these is set, so that it costs nothing otherwise. Counts requests:
 * idle connections are free. */
#ifndef TINE_HTTP_ADMISSION_H
#define TINE_HTTP_ADMISSION_H

#include <stdbool.h>

struct admission;
struct conf_http;
struct event_base;
struct handler;
struct score;

/* Whether something is limited. */
bool admission_is_needed(const struct conf_http *conf);
/* NULL: out of memory. */
struct admission *admission_new(struct event_base *base, const struct conf_http *conf, struct score *score);
/* A handler that lets requests through to `inner`, which must outlive it; NULL: out of memory.
 * A request beyond max_inflight waits; beyond max_queue, or after queue_timeout, it gets 503 with
 * Retry-After. A request that takes longer than request_timeout from its start (not counting its
 * wait) gets 504, or is cut if its answer has begun; `inner` gets on_end(REQ_END_REQUEST_TIMEOUT). */
struct handler *admission_gate(struct admission *a, struct handler *inner);
/* With all its gates; does not free the handlers after them. No request may be left. NULL is fine. */
void admission_free(struct admission *a);

#endif
