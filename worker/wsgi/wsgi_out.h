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
    WSGI_SENT, /* go on */
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
    bool spooled; /* the file is a spool's, of n bytes: wsgi_spool.h */
    bool last;
};

/* Gives it to the request, if there is one still; logs what is wrong with it. Takes the descriptor, not the answer. With
 * RESP_LATER its bytes are added to c->late. */
enum resp_result wsgi_out_give(struct wsgi_call *c, const struct wsgi_piece *piece);
/* Gives what lies in the spool, and the end behind it, once the client has taken everything before. The request may have
 * ended afterwards. */
void wsgi_out_pump(struct wsgi_call *c);
/* The client has taken what it was given: returns how many bytes that were `late`. */
size_t wsgi_out_drained(struct wsgi_call *c);
/* 500 if nothing was sent, else the answer is cut. */
void wsgi_out_fail(struct wsgi_call *c);

/* Inline: gives a piece at once, before the application goes on; puts it into the spool where the client has too much to
 * read already. Takes the answer too. */
enum wsgi_sent wsgi_out_now(struct wsgi_call *c, struct wsgi_piece *piece);
/* Inline: whether the client has too much to read, and the spool has no room for more: on_drained follows. */
bool wsgi_out_must_wait(const struct wsgi_call *c);

/* The request is over. */
void wsgi_out_end(struct wsgi_call *c, enum req_end why);

#endif
