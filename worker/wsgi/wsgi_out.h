/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_out.h: sends to the client what the application gave. The loop's thread alone. */
#ifndef TINE_WSGI_WSGI_OUT_H
#define TINE_WSGI_WSGI_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/http/handler.h"
#include "worker/http/resp.h"
#include "worker/wsgi/wsgi_call.h"

/* Gives a piece to the request, if that has not ended; logs what is wrong with it. Takes the descriptor, not the answer. With
 * RESP_LATER its bytes are added to c->late. */
enum resp_result wsgi_out_give(struct wsgi_call *c, const struct wsgi_piece *piece);
/* Gives what lies in the spool, and the end after it, once the client has taken everything before. The request may have
 * ended afterwards. */
void wsgi_out_pump(struct wsgi_call *c);
/* The client has taken what it was given: returns how many bytes that were `late`. */
size_t wsgi_out_drained(struct wsgi_call *c);
/* 500 if nothing was sent, else the answer is cut. */
void wsgi_out_fail(struct wsgi_call *c);

/* Inline: gives a piece at once, before the application continues; puts it into the spool where the client has too much to
 * read already. Takes the answer too. */
enum wsgi_sent wsgi_out_now(struct wsgi_call *c, struct wsgi_piece *piece);
/* Inline: whether the client has too much to read, and the spool has no room for more: on_drained follows. */
bool wsgi_out_must_wait(const struct wsgi_call *c);

/* The request has ended. */
void wsgi_out_end(struct wsgi_call *c, enum req_end why);

#endif
