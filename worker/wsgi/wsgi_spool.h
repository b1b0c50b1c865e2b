/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_spool.h: bytes that wait for a slow client in a file without a name, so that neither a thread waits for it nor
 * memory grows: of a body that is still coming, and of an answer that is not read. app.spool bounds what lies there for
 * each of them, and SPOOL_SHARE times that for all requests of the worker. Needs no GIL; any thread, but one at a time for
 * each spool. */
#ifndef TINE_WSGI_WSGI_SPOOL_H
#define TINE_WSGI_WSGI_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/span.h"

struct wsgi;

#define SPOOL_SHARE 16

struct wsgi_spool {
    int fd;   /* -1: there is none, and the rest is 0 */
    size_t n; /* bytes in it */
    size_t at; /* of which these were read */
};

/* Whether n more bytes may lie there for one that has `have` already. */
bool wsgi_spool_has_room(struct wsgi *wsgi, size_t have, size_t n);
/* Appends them, whether or not there is room. 0, or -1 with errno, and nothing was added. */
int wsgi_spool_add(struct wsgi *wsgi, struct wsgi_spool *s, struct span bytes) __attribute__((warn_unused_result));
static inline size_t wsgi_spool_left(const struct wsgi_spool *s)
{
    return s->n - s->at;
}
/* Logs, once for the worker, that no file can be had, and what that means. */
void wsgi_spool_complain(struct wsgi *wsgi, int error);
/* The next ones, `most` at most; 0: none are left; -1 with errno. */
ssize_t wsgi_spool_read(struct wsgi_spool *s, char *to, size_t most);
/* Forgets all of them; may be empty. */
void wsgi_spool_drop(struct wsgi *wsgi, struct wsgi_spool *s);

#endif
