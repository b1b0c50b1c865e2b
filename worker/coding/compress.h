/* SPDX-License-Identifier: BSD-3-Clause */
/* compress.h: content coding of answers that applications make ([http] compress): which answers, which coding, and what
 * happens to their fields.
 *
 * A resp_filter: an answer that is compressed has its own resp_ops (compress_stream.c), below which the protocol sees
 * an answer without Content-Length. Whether it is compressed is known at its first body call, which shows how much
 * there is: until then its head is kept here.
 */
#ifndef TINE_HTTP_COMPRESS_H
#define TINE_HTTP_COMPRESS_H

struct compressor;
struct conf_http;
struct event_base;
struct resp_filter;

/* What all answers of a worker share. *ret = NULL: nothing is to be compressed. 0, or -1: out of memory. */
int compressor_new(struct event_base *base, const struct conf_http *conf, struct compressor **ret)
    __attribute__((warn_unused_result));
/* After the last connection. NULL is allowed. */
void compressor_free(struct compressor *z);

/* What answers go through; NULL for NULL. */
struct resp_filter *compressor_filter(struct compressor *z);

#endif
