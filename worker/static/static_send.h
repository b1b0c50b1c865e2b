/* SPDX-License-Identifier: BSD-3-Clause */
/* static_send.h: the body of an answer out of a file: whole, one part, or several as multipart/byteranges. */
#ifndef TINE_HTTP_STATIC_SEND_H
#define TINE_HTTP_STATIC_SEND_H

#include "worker/http/resp.h"
#include "worker/static/static_range.h"

/* What is sent later of an answer that has begun; req->user until on_end. */
struct static_job;

struct static_job *static_job_new(int fd, uint64_t size, struct span type) __attribute__((warn_unused_result));
/* Closes the descriptor. NULL is fine. */
void static_job_free(struct static_job *job);

/* n > 1: Content-Type of the whole and the length of all parts with what is around them. */
void static_job_parts(struct static_job *job, const struct static_range *parts, size_t n);
struct span static_job_type(const struct static_job *job);
uint64_t static_job_length(const struct static_job *job);

/* After resp_start(), and again from on_drained: sends until the output is full or all is given. The request may have
 * ended afterwards, and the job with it. */
void static_job_send(struct static_job *job, struct req *r);

#endif
