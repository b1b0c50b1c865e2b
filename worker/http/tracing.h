/* SPDX-License-Identifier: BSD-3-Clause */
/* tracing.h: ties a request to what others log of it: X-Request-ID (http.request_id) and traceparent of W3C Trace Context
 * (http.traceparent). Made only where one of these is set, so that it costs nothing otherwise.
 *
 * An id is kept if a peer in http.forwarded_allow_ips gives exactly one, of 1 to 128 characters that mean nothing to a log
 * or a shell; else it is made anew: a client must not be able to put its request among those of another. A valid
 * traceparent is kept from anybody, as the standard wants it; what is none is replaced, and its tracestate removed. */
#ifndef TINE_HTTP_TRACING_H
#define TINE_HTTP_TRACING_H

#include <stddef.h>

#include "common/span.h"

struct conf_http;
struct req;
struct tracing;

/* 0 and *ret, NULL where nothing is to be done; or -1: out of memory. `conf` stays. */
int tracing_new(const struct conf_http *conf, struct tracing **ret);
void tracing_free(struct tracing *tracing);

/* After forwarded_apply(): sets the request's id and trace, and the fields that carry them. `used`: req_head_size(). 0, or -1:
 * out of memory. */
int tracing_apply(struct tracing *tracing, struct req *r, size_t used) __attribute__((warn_unused_result));

/* The 32 digits of the request's trace, whether or not http.traceparent is set; n = 0: it has none. */
struct span tracing_trace(const struct req *r);

/* ", request ID" for a line of the log, terminated; "": it has no id. */
#define TRACING_WORDS 160
const char *tracing_words(char to[TRACING_WORDS], struct span id);

#endif
