/* admission.h: how many requests of a worker run at a time, how many wait, and how long each may take:
 * http.max_inflight, max_queue, queue_timeout, request_timeout. A handler in front of another; made
 * only where one of these is set, so that it costs nothing otherwise. Counts requests: idle
 * connections are free. */
#ifndef TINE_HTTP_ADMISSION_H
#define TINE_HTTP_ADMISSION_H

struct conf_http;
struct event_base;
struct handler;

/* `inner` itself if nothing is limited; NULL: out of memory.
 * A request beyond max_inflight waits; beyond max_queue, or after queue_timeout, it gets 503 with
 * Retry-After. A request that takes longer than request_timeout from its start (not counting its
 * wait) gets 504, or is cut if its answer has begun; `inner` is told by REQ_END_REQUEST_TIMEOUT. */
struct handler *admission_new(struct event_base *base, const struct conf_http *conf,
                              struct handler *inner);
/* Gives back what admission_new() made; does nothing to `inner`. No request may be left. */
void admission_free(struct handler *handler, struct handler *inner);

#endif
