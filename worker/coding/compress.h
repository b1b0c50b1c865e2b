/* SPDX-License-Identifier: BSD-3-Clause */
/* compress.h: content coding of answers that applications make ([http] compress): which answers, which coding, and what
 * happens to their fields.
 *
 * Stands between resp.c and resp_ops: an answer that is compressed has ops of its own (compress_stream.c), behind
 * which the protocol sees an answer without Content-Length. Whether it is compressed is known at its first body call,
 * which tells how much there is: until then its head is kept here.
 */
#ifndef TINE_HTTP_COMPRESS_H
#define TINE_HTTP_COMPRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/http/resp.h"

struct compressor;
struct conf_http;
struct encoding;
struct event_base;
struct req;

/* What all answers of a worker share. *ret = NULL: nothing is to be compressed. 0, or -1: out of memory. */
int compressor_new(struct event_base *base, const struct conf_http *conf, struct compressor **ret)
    __attribute__((warn_unused_result));
/* After the last connection. NULL is allowed. */
void compressor_free(struct compressor *z);

/* --- for resp.c --- */

/* In the place of resp_ops.start, for an answer that may be compressed. */
enum resp_result compress_start(struct req *r, const struct resp_head *head);
/* A file comes first: the answer goes out as it is. RESP_SENT: go on. */
enum resp_result compress_not(struct req *r);
/* The application's Content-Length (-1: none) and how much of it the application has given. */
void compress_given(const struct req *r, int64_t *ret_length, uint64_t *ret_given);
/* Whether the last of the body was given; pieces of it may wait for their turn. */
bool compress_is_given(const struct req *r);
/* The output of an answer with an encoding fell below its low mark. */
void compress_drained(struct req *r);

/* --- for req.c --- */

/* The request is about to be forgotten. */
void compress_drop(struct encoding *e);

#endif
