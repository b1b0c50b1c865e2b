/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_out.h: what the application gave, to the client. The loop's thread alone. */
#ifndef TINE_WSGI_WSGI_OUT_H
#define TINE_WSGI_WSGI_OUT_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/span.h"
#include "worker/http/handler.h"
#include "worker/http/resp.h"

struct wsgi_answer;
struct wsgi_call;

enum wsgi_sent {
    WSGI_SENT,  /* go on */
    WSGI_LATER, /* taken, but the client has to read first */
    WSGI_GONE,  /* nobody is there any more */
    WSGI_ERROR, /* exception set */
};

/* A piece of an answer: bytes, or a part of a file. */
struct wsgi_piece {
    struct wsgi_answer *answer; /* the head goes first; NULL: it has gone */
    struct span bytes;
    int fd; /* a file; else -1 */
    off_t at;
    size_t n;
    bool last;
};

/* Gives it to the request, if there is one still; logs what is wrong with it. Takes the descriptor, not the answer. */
enum resp_result wsgi_out_give(struct wsgi_call *c, const struct wsgi_piece *piece);
/* 500 if nothing was sent, else the answer is cut. */
void wsgi_out_fail(struct wsgi_call *c);

/* Inline: the same at once, before the application goes on. Takes the answer too. */
enum wsgi_sent wsgi_out_now(struct wsgi_call *c, struct wsgi_piece *piece);
/* Inline, after WSGI_LATER, while the application goes on: gives the socket what it takes now, without waiting.
 * WSGI_SENT, WSGI_LATER or WSGI_GONE. */
enum wsgi_sent wsgi_out_push(struct wsgi_call *c);

/* The request is over. */
void wsgi_out_end(struct wsgi_call *c, enum req_end why);

#endif
