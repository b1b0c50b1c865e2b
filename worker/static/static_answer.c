/* SPDX-License-Identifier: BSD-3-Clause */
/* static_answer.c: makes the head of the answer for a file that was found. Never looks for a file, and reads only what
 * leaves with the head. */
#include "worker/static/static_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/static/static_range.h"
#include "worker/static/static_send.h"

#define MOST_FIELDS 10

struct fields {
    size_t n;
    struct resp_field v[MOST_FIELDS];
    char content_range[80]; /* its bytes */
};

static void add(struct fields *f, struct span name, struct span value)
{
    f->v[f->n++] = (struct resp_field){ name, value };
}

/* --- answers without a file --- */

static void answer_status(struct req *r, unsigned status, struct fields *f)
{
    char text[80], length[24];
    int n = snprintf(text, sizeof(text), "%u %s\n", status, resp_reason(status));
    int m = snprintf(length, sizeof(length), "%d", n);
    add(f, SPAN("content-type"), SPAN("text/plain; charset=utf-8"));
    add(f, SPAN("content-length"), (struct span){ length, (size_t)m });
    struct resp_head head = { .status = status, .fields = f->v, .n_fields = f->n };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, (struct span){ text, (size_t)n }, false);
}

void static_answer_status(struct req *r, unsigned status)
{
    answer_status(r, status, &(struct fields){ .n = 0 });
}

void static_answer_errno(struct req *r, int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        static_answer_status(r, 503);
        break;
    case EIO:
        static_answer_status(r, 500);
        break;
    default:
        static_answer_status(r, 404);
    }
}

void static_answer_add_slash(struct req *r)
{
    struct span path = req_span(r, r->path), query = req_span(r, r->query);
    char *to = malloc(path.n + query.n + 2);
    if (!to) {
        static_answer_status(r, 503);
        return;
    }
    size_t n = path.n;
    memcpy(to, path.p, n);
    to[n++] = '/';
    if (query.n) {
        to[n++] = '?';
        memcpy(to + n, query.p, query.n);
        n += query.n;
    }
    struct fields f = { .n = 0 };
    add(&f, SPAN("location"), (struct span){ to, n });
    answer_status(r, 301, &f);
    free(to);
}

void static_answer_no_method(struct req *r)
{
    struct fields f = { .n = 0 };
    add(&f, SPAN("allow"), SPAN("GET, HEAD"));
    answer_status(r, 405, &f);
}

void static_answer_no_coding(struct req *r)
{
    struct fields f = { .n = 0 };
    add(&f, SPAN("vary"), SPAN("accept-encoding"));
    answer_status(r, 406, &f);
}

/* --- the file --- */

static unsigned long long nanoseconds(const struct timespec *t)
{
    return (unsigned long long)t->tv_sec * 1000000000u + (unsigned long long)t->tv_nsec;
}

/* RFC 9110 8.8.1: changes with every write that the file system's clock can distinguish, and with a file of another
 * content that has been given the same time, since the time of the last change to the inode cannot be set. A sibling
 * has its own. The number of the inode is not in it: it is nothing that a client has to know. */
void static_found_describe(struct static_found *f)
{
    const struct stat *st = &f->st;
    const char *coding = f->coding == CODING_IDENTITY ? "" : coding_name(f->coding);
    int n = snprintf(f->etag, sizeof(f->etag), "\"%llx-%llx-%llx%s%s\"", nanoseconds(&st->st_mtim),
                     (unsigned long long)st->st_size, nanoseconds(&st->st_ctim), *coding ? "-" : "", coding);
    f->v.etag = (struct span){ f->etag, (size_t)n };
    f->v.now = time(NULL);
    /* Never later than Date (8.8.2.1). */
    f->v.modified = f->st.st_mtim.tv_sec < f->v.now ? f->st.st_mtim.tv_sec : f->v.now;
    http_date_of(f->v.modified, f->modified);
}

/* Fields that 200, 206 and 304 share (15.4.5). */
static void add_common(const struct static_found *f, struct fields *to)
{
    add(to, SPAN("etag"), f->v.etag);
    if (f->varies)
        add(to, SPAN("vary"), SPAN("accept-encoding"));
    if (f->cache_control[0])
        add(to, SPAN("cache-control"), span_of(f->cache_control));
}

/* A small file leaves with its head; `at` and `n` are inside of it. False: it has to be sent another way. */
static bool send_small(struct req *r, struct static_found *f, uint64_t at, uint64_t n, const struct resp_head *head)
{
    if (n > STATIC_SMALL_FILE || pread(f->fd, f->small, n, (off_t)at) != (ssize_t)n)
        return false;
    close(f->fd);
    if (resp_start(r, head) == RESP_SENT)
        (void)!resp_body(r, (struct span){ f->small, n }, false);
    return true;
}

/* Of 200, or 206 with n > 0 parts. */
static void add_entity(const struct static_found *f, const struct static_range *parts, size_t n, struct fields *to)
{
    add(to, SPAN("last-modified"), (struct span){ f->modified, HTTP_DATE_LEN });
    add(to, SPAN("accept-ranges"), SPAN("bytes"));
    if (f->coding != CODING_IDENTITY)
        add(to, SPAN("content-encoding"), span_of(coding_name(f->coding)));
    if (n == 1) {
        int m = sprintf(to->content_range, "bytes %llu-%llu/%llu", (unsigned long long)parts->at,
                        (unsigned long long)(parts->at + parts->n - 1), (unsigned long long)f->st.st_size);
        add(to, SPAN("content-range"), (struct span){ to->content_range, (size_t)m });
    }
    add_common(f, to);
}

/* The body is sent by the job from here on; NULL as job: out of memory. */
static void send_job(struct req *r, struct static_found *f, struct static_job *job, const struct resp_head *head)
{
    if (!job) {
        close(f->fd);
        static_answer_status(r, 503);
        return;
    }
    r->user = job;
    if (resp_start(r, head) == RESP_SENT)
        static_job_send(job, r);
}

/* 200, or 206 with n > 0 parts. */
static void answer_parts(struct req *r, struct static_found *f, const struct static_range *parts, size_t n)
{
    char length[24];
    struct fields fields = { .n = 0 };
    uint64_t size = (uint64_t)f->st.st_size;
    const struct static_range whole = { 0, size }, *one = n ? parts : &whole;
    struct span type = f->mime.type;
    uint64_t all = one->n;
    struct static_job *job = NULL;
    if (n > 1 && !(job = static_job_new(f->fd, size, type))) {
        send_job(r, f, NULL, NULL);
        return;
    }
    if (n > 1) {
        static_job_parts(job, parts, n);
        type = static_job_type(job);
        all = static_job_length(job);
    }
    add(&fields, SPAN("content-type"), type);
    add(&fields, SPAN("content-length"),
        (struct span){ length, (size_t)sprintf(length, "%llu", (unsigned long long)all) });
    add_entity(f, parts, n, &fields);
    struct resp_head head = { .status = n ? 206 : 200, .fields = fields.v, .n_fields = fields.n };
    if (r->is_head) { /* which no range can be asked of */
        close(f->fd);
        if (resp_start(r, &head) == RESP_SENT)
            (void)!resp_body(r, SPAN(""), false);
        return;
    }
    if (!job && send_small(r, f, one->at, one->n, &head))
        return;
    if (!job && (job = static_job_new(f->fd, size, type)) && n)
        static_job_parts(job, parts, 1);
    send_job(r, f, job, &head);
}

static void answer_not_modified(struct req *r, const struct static_found *f)
{
    struct fields fields = { .n = 0 };
    add_common(f, &fields);
    struct resp_head head = { .status = 304, .fields = fields.v, .n_fields = fields.n };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, SPAN(""), false);
}

static void answer_no_range(struct req *r, const struct static_found *f)
{
    struct fields fields = { .n = 0 };
    int n = sprintf(fields.content_range, "bytes */%llu", (unsigned long long)f->st.st_size);
    add(&fields, SPAN("content-range"), (struct span){ fields.content_range, (size_t)n });
    add(&fields, SPAN("accept-ranges"), SPAN("bytes"));
    answer_status(r, 416, &fields);
}

/* The Range field, if it is there once, and the method gives it a meaning (14.2). */
static struct span range_of(const struct req *r)
{
    struct span found = { NULL, 0 };
    for (uint32_t i = 0; i < r->n_fields && !r->is_head; i++) {
        if (!span_eq(req_span(r, r->fields[i].name), SPAN("range")))
            continue;
        if (found.p)
            return (struct span){ NULL, 0 };
        found = req_span(r, r->fields[i].value);
    }
    return found;
}

void static_answer_file(struct req *r, struct static_found *f)
{
    struct static_range parts[STATIC_RANGES_MOST];
    size_t n = 0;
    switch (static_cond_judge(r, &f->v)) {
    case STATIC_COND_NOT_MODIFIED:
        close(f->fd);
        answer_not_modified(r, f);
        return;
    case STATIC_COND_FAILED:
        close(f->fd);
        static_answer_status(r, 412);
        return;
    case STATIC_COND_GO_ON:
        break;
    }
    struct span range = range_of(r);
    if (range.p && static_cond_range(r, &f->v)) {
        enum static_range_result result = static_range_parse(range, (uint64_t)f->st.st_size, parts, &n);
        if (result == STATIC_RANGE_NONE) {
            close(f->fd);
            answer_no_range(r, f);
            return;
        }
        n = result == STATIC_RANGE_PARTS ? n : 0;
    }
    answer_parts(r, f, parts, n);
}
