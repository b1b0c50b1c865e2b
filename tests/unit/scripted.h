/* SPDX-License-Identifier: BSD-3-Clause */
/* scripted.h: a handler for tests: answers "ok", or leaves the request to the test where the path is "/hold". One rig and
 * one record of what the handler saw, for one test program. */
#ifndef TINE_TESTS_SCRIPTED_H
#define TINE_TESTS_SCRIPTED_H

#include "tests/unit/rig.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, fields) "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

/* What the handler saw last. */
struct seen {
    struct req *req; /* of the last request, until on_end */
    unsigned requests, bodies, drained, eofs, ends;
    enum req_end end;
    enum resp_result result;
};

extern struct rig rig;
extern struct seen seen;

void scripted_init(void);
/* Forgets what was seen, then connects. */
void fresh(struct peer *p);
void fresh_narrow(struct peer *p);
/* A fresh connection on which this was sent; ends the program as failed if no request came of it. */
struct peer held(const char *request);
/* 200 with this body, in one piece. */
void answer(struct req *r, const char *text);
/* Starts the answer to seen.req; length: Content-Length or NULL. */
enum resp_result start(unsigned status, const char *length, bool trailers);

#endif
