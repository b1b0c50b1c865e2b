/* SPDX-License-Identifier: BSD-3-Clause */
/* account.h: what is recorded of a request that has ended, the same for every protocol: the worker's counters, the
 * access log, the warning about a slow one. */
#ifndef TINE_HTTP_ACCOUNT_H
#define TINE_HTTP_ACCOUNT_H

#include <stddef.h>

#include "common/span.h"

struct req;

/* Once per request, when its state is ENDED and on_end has not been called yet; the head must still be there. */
void account_request(struct req *r);

/* A name for the place in the application that a request goes to, for counting: method and path without query, parts of
 * the path that look like numbers or keys written as ":id", at most three parts. Terminated, at most size - 1 bytes.
 * Returns its length. */
size_t account_route(char *to, size_t size, struct span method, struct span path);

#endif
