/* SPDX-License-Identifier: BSD-3-Clause */
/* forked.h: what becomes of a process that the application forks from a worker or a mold, by os.fork(), multiprocessing,
 * pty, subprocess with preexec_fn, or a library in C. It begins as a copy of the server that shares every descriptor with
 * it: an epoll_ctl() there takes registrations away from the worker, a signal there is written into the worker's own
 * pipe, and the port stays busy for as long as it lives.
 *
 * So a handler of pthread_atfork(3) makes a stranger of it before anything else runs there: every descriptor of ours is
 * closed, signals that we handle have their default action again, and forked_is_child() says so to whatever of our code
 * runs there later. It calls what is safe between fork(2) and exec(2) alone, since threads that are gone may have held any
 * lock. vfork(2), posix_spawn(3) and subprocess without preexec_fn run no handlers; they end in exec(2), which closes the
 * same descriptors. A bare clone(2) is not seen.
 *
 * One state a process: fork() and its handlers are handed nothing. */
#ifndef TINE_COMMON_FORKED_H
#define TINE_COMMON_FORKED_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/likely.h"

/* 0 in a process of ours; in one that the application forked, how many forks away. Written by the handler alone. */
extern unsigned forked_depth;

static inline bool forked_is_child(void)
{
    return unlikely(forked_depth != 0);
}

/* From here on fork(3) makes children of the application; what was owned before is forgotten. Called at the birth of a
 * worker or a mold, before there are threads. 0, or -1 with errno. */
int forked_begin(void) __attribute__((warn_unused_result));

/* The same in a program that is not ours, whose children end as it wants. May be called again, also from other threads under the GIL. */
int forked_watch(void) __attribute__((warn_unused_result));

/* Whether the forks that this thread makes from here on are our own: their children are left as they are. */
void forked_expect_own(bool own);

/* Has `fd` closed in children, until fd_close(). */
void forked_own(int fd);
bool forked_owns(int fd);
/* Other code closes it, or it is closed already. */
void forked_disown(int fd);
/* accept4(2), non-blocking and close-on-exec, and the connection is owned: no fork comes between. */
int forked_accept(int fd, struct sockaddr *ret_peer, socklen_t *n);
/* socketpair(2) of streams, close-on-exec; the first one is non-blocking and owned: no fork comes between. 0, or -1 with errno. */
int forked_socketpair(int ret_fds[2]) __attribute__((warn_unused_result));
/* close(2), disowned with no fork between; fd_close() does it too. */
int forked_close(int fd);

/* What a library opens without reporting it: all descriptors that are there at the second call and were not at the
 * first. No other thread may open any meanwhile. */
#define FORKED_MARK_FDS 1024
struct forked_mark {
    unsigned char open[FORKED_MARK_FDS / 8];
};
void forked_mark(struct forked_mark *ret_mark);
void forked_own_since(const struct forked_mark *mark);

/* The action that `signo` has now is ours: a child gets the default one, unless the application has set another by then. */
void forked_own_signal(int signo);

#endif
