/* SPDX-License-Identifier: BSD-3-Clause */
/* static_answer.h: from a file that was found to the head of its answer: conditions, ranges, fields. The body is
 * static_send.c's. */
#ifndef TINE_HTTP_STATIC_ANSWER_H
#define TINE_HTTP_STATIC_ANSWER_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "worker/coding/accept_encoding.h"
#include "worker/static/static_cond.h"
#include "worker/static/static_mime.h"

struct req;

/* Files up to this size are read and leave with their head in one write, which is cheaper than sendfile(2). */
#define STATIC_SMALL_FILE (32u << 10)

/* A file that was found, and what its answer will say of it. */
struct static_found {
    int fd;
    struct stat st;
    struct static_mime mime;
    enum coding coding;
    bool varies;
    char etag[64], modified[HTTP_DATE_LEN + 1];
    struct static_validators v;
    const char *cache_control; /* "": none */
    char *small;               /* room for STATIC_SMALL_FILE bytes */
};

/* Sets etag, modified and v from the rest. */
void static_found_describe(struct static_found *f);

/* Answers with the file, or with what its conditions and ranges make of it; takes f->fd. The request may have ended
 * afterwards; if not, its user is the static_job that sends the rest. */
void static_answer_file(struct req *r, struct static_found *f);

/* A line of text that names the status; unlike resp_error() it keeps the connection, for nothing is wrong with it. */
void static_answer_status(struct req *r, unsigned status);
/* The file system said no. To clients, what may not be read does not exist. */
void static_answer_errno(struct req *r, int error);
/* 301: /docs -> /docs/, so that relative links in the index lead where they should. */
void static_answer_add_slash(struct req *r);
/* 405. */
void static_answer_no_method(struct req *r);
/* 406: no coding that is there is acceptable. */
void static_answer_no_coding(struct req *r);

#endif
