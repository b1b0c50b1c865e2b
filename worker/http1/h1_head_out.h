/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_head_out.h: the head of an HTTP/1 answer: built by h1_head_start(), framed by h1_head_finish(). */
#ifndef TINE_HTTP_H1_HEAD_OUT_H
#define TINE_HTTP_H1_HEAD_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/span.h"

struct h1_req;
struct resp_head;

/* Status line and the application's fields. 0, or -1: out of memory. */
int h1_head_start(struct h1_req *hr, const struct resp_head *head);
/* With the first body call, of n bytes (`whole`: no more will come), the framing is chosen and the server's own fields
 * are added. The span holds until the next answer starts. */
struct span h1_head_finish(struct h1_req *hr, size_t n, bool whole);
/* Instead, for a 101 (RFC 9110 7.8). */
struct span h1_head_finish_upgrade(struct h1_req *hr, struct span protocol);

#endif
