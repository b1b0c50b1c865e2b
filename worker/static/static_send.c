/* SPDX-License-Identifier: BSD-3-Clause */
/* static_send.c: sends the body of an answer out of a file. Its bytes go from the page cache to the socket; here are
 * only the heads of parts, one at a time, so that memory does not grow with the file, the number of parts or the
 * patience of the reader. */
#include "worker/static/static_send.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "worker/http/req.h"

#define BOUNDARY_BYTES 15
#define BOUNDARY_ROOM (2 * BOUNDARY_BYTES + 1)
#define TYPE_PREFIX "multipart/byteranges; boundary="

/* Between the parts; `type` is no longer than the longest of static_mime.c. */
#define PART_ROOM 320

struct static_job {
    int fd;
    uint64_t size;
    struct span type; /* of the file; static memory */
    struct static_range parts[STATIC_RANGES_MOST];
    size_t n_parts, next;
    bool head_given; /* of parts[next] */
    char whole_type[sizeof(TYPE_PREFIX) + BOUNDARY_ROOM];
};

struct static_job *static_job_new(int fd, uint64_t size, struct span type)
{
    struct static_job *job = malloc(sizeof(*job));
    if (!job)
        return NULL;
    job->fd = fd;
    job->size = size;
    job->type = type;
    job->parts[0] = (struct static_range){ 0, size };
    job->n_parts = 1;
    job->next = 0;
    job->head_given = false;
    return job;
}

void static_job_free(struct static_job *job)
{
    if (!job)
        return;
    close(job->fd);
    free(job);
}

/* Random, so that no file can have been made to contain it. */
static void make_boundary(struct static_job *job)
{
    unsigned char bytes[BOUNDARY_BYTES] = { 0 };
    if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) < 0) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (unsigned char)random();
    }
    char *w = job->whole_type + sprintf(job->whole_type, TYPE_PREFIX);
    for (size_t i = 0; i < sizeof(bytes); i++)
        w += sprintf(w, "%02x", bytes[i]);
}

void static_job_parts(struct static_job *job, const struct static_range *parts, size_t n)
{
    memcpy(job->parts, parts, n * sizeof(*parts));
    job->n_parts = n;
    if (n > 1)
        make_boundary(job);
}

struct span static_job_type(const struct static_job *job)
{
    return job->n_parts > 1 ? span_of(job->whole_type) : job->type;
}

/* What stands before part i, or after the last (RFC 9110 14.6, RFC 2046 5.1.1). */
static size_t part_head(const struct static_job *job, size_t i, char *to)
{
    const char *boundary = job->whole_type + sizeof(TYPE_PREFIX) - 1;
    if (i == job->n_parts)
        return (size_t)snprintf(to, PART_ROOM, "\r\n--%s--\r\n", boundary);
    const struct static_range *p = &job->parts[i];
    return (size_t)snprintf(to, PART_ROOM,
                            "%s--%s\r\nContent-Type: %.*s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
                            i ? "\r\n" : "", boundary, (int)job->type.n, job->type.p, (unsigned long long)p->at,
                            (unsigned long long)(p->at + p->n - 1), (unsigned long long)job->size);
}

uint64_t static_job_length(const struct static_job *job)
{
    char text[PART_ROOM];
    uint64_t n = 0;
    if (job->n_parts == 1)
        return job->parts[0].n;
    for (size_t i = 0; i < job->n_parts; i++)
        n += part_head(job, i, text) + job->parts[i].n;
    return n + part_head(job, job->n_parts, text);
}

void static_job_send(struct static_job *job, struct req *r)
{
    char text[PART_ROOM];
    const struct static_range *p = job->parts;
    if (job->n_parts == 1) {
        if (!job->next++)
            (void)!resp_file(r, job->fd, (off_t)p->at, p->n, false);
        return;
    }
    enum resp_result result = RESP_SENT;
    while (result == RESP_SENT && job->next <= job->n_parts) {
        if (!job->head_given) {
            bool last = job->next == job->n_parts;
            size_t n = part_head(job, job->next, text);
            job->head_given = true;
            result = resp_body(r, (struct span){ text, n }, !last);
            if (last) /* the job may be gone */
                return;
            continue;
        }
        p = &job->parts[job->next++];
        job->head_given = false;
        result = resp_file(r, job->fd, (off_t)p->at, p->n, true);
    }
}
