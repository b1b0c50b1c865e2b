/* SPDX-License-Identifier: BSD-3-Clause */
/* forked.c: takes the descriptors of the server away from a process that the application forks. The handlers run in
 * every fork(3) of a worker, on the thread that forks; the one in the child must call nothing that takes a lock or
 * allocates. */
#include "common/forked.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Linux has no higher numbers unless fs.nr_open is raised; pages that are never touched take no memory. */
#define FDS_MAX (1 << 20)
#define WORD 64

unsigned forked_depth;

static struct {
    bool watching, begun;
    pthread_mutex_t lock; /* held across a fork, and where a descriptor changes hands */
    sigset_t mask; /* of the thread that forks; lock held */
    _Atomic(int) words; /* of `owned` that were ever used */
    _Atomic(uint64_t) owned[FDS_MAX / WORD];
    _Atomic(uintptr_t) handlers[NSIG]; /* ours; 0: none */
} state; /* all zero, which a mutex may be too */

static _Thread_local bool expects_own;

/* --- at a fork --- */

static void before(void)
{
    sigset_t all, mask;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    pthread_mutex_lock(&state.lock);
    state.mask = mask;
}

static void release(void)
{
    sigset_t mask = state.mask;
    pthread_mutex_unlock(&state.lock);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void close_ours(void)
{
    int words = atomic_load_explicit(&state.words, memory_order_relaxed);
    for (int word = 0; word < words; word++) {
        uint64_t bits = atomic_exchange_explicit(&state.owned[word], 0, memory_order_relaxed);
        for (; bits; bits &= bits - 1)
            close(word * WORD + __builtin_ctzll(bits));
    }
}

static void default_signals(void)
{
    struct sigaction now, dfl = { .sa_handler = SIG_DFL };
    for (int signo = 1; signo < NSIG; signo++) {
        uintptr_t ours = atomic_load_explicit(&state.handlers[signo], memory_order_relaxed);
        if (ours && sigaction(signo, NULL, &now) == 0 && (uintptr_t)now.sa_handler == ours)
            sigaction(signo, &dfl, NULL);
    }
}

static void in_child(void)
{
    if (!expects_own) {
        forked_depth++;
        close_ours();
        default_signals();
    }
    release();
}

/* A thread of the application that has forked is the only one of the child, and its end is that of the process, by
 * exit(3). What the server and its libraries have registered for their own end is not for the child. */
static void at_exit(int status, void *unused)
{
    if (!forked_is_child())
        return;
    fflush(NULL);
    _exit(status);
}

int forked_watch(void)
{
    if (state.watching)
        return 0;
    errno = pthread_atfork(before, release, in_child);
    state.watching = !errno;
    return state.watching ? 0 : -1;
}

int forked_begin(void)
{
    int words = atomic_load_explicit(&state.words, memory_order_relaxed);
    for (int word = 0; word < words; word++)
        atomic_store_explicit(&state.owned[word], 0, memory_order_relaxed);
    expects_own = false;
    if (state.begun) /* by the mold that this worker was forked from */
        return 0;
    state.begun = forked_watch() == 0 && on_exit(at_exit, NULL) == 0;
    return state.begun ? 0 : -1;
}

void forked_expect_own(bool own)
{
    expects_own = own;
}

/* --- descriptors --- */

void forked_own(int fd)
{
    if (fd < 0 || fd >= FDS_MAX)
        return;
    atomic_fetch_or_explicit(&state.owned[fd / WORD], UINT64_C(1) << (fd % WORD), memory_order_relaxed);
    int words = atomic_load_explicit(&state.words, memory_order_relaxed), enough = fd / WORD + 1;
    while (words < enough && !atomic_compare_exchange_weak_explicit(&state.words, &words, enough, memory_order_relaxed,
                                                                    memory_order_relaxed))
        ;
}

bool forked_owns(int fd)
{
    return fd >= 0 && fd < FDS_MAX &&
           atomic_load_explicit(&state.owned[fd / WORD], memory_order_relaxed) >> (fd % WORD) & 1;
}

void forked_disown(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        atomic_fetch_and_explicit(&state.owned[fd / WORD], ~(UINT64_C(1) << (fd % WORD)), memory_order_relaxed);
}

int forked_accept(int fd, struct sockaddr *ret_peer, socklen_t *n)
{
    pthread_mutex_lock(&state.lock);
    int taken = accept4(fd, ret_peer, n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    forked_own(taken);
    pthread_mutex_unlock(&state.lock);
    return taken;
}

int forked_socketpair(int ret_fds[2])
{
    pthread_mutex_lock(&state.lock);
    int result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds);
    if (result == 0 && fcntl(ret_fds[0], F_SETFL, O_NONBLOCK) == 0)
        forked_own(ret_fds[0]);
    pthread_mutex_unlock(&state.lock);
    return result;
}

int forked_close(int fd)
{
    pthread_mutex_lock(&state.lock);
    forked_disown(fd);
    int result = close(fd);
    pthread_mutex_unlock(&state.lock);
    return result;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

void forked_mark(struct forked_mark *ret_mark)
{
    memset(ret_mark, 0, sizeof(*ret_mark));
    for (int fd = 0; fd < FORKED_MARK_FDS; fd++)
        if (is_open(fd))
            ret_mark->open[fd / 8] |= (unsigned char)(1 << fd % 8);
}

void forked_own_since(const struct forked_mark *mark)
{
    for (int fd = 0; fd < FORKED_MARK_FDS; fd++)
        if (!(mark->open[fd / 8] & 1 << fd % 8) && is_open(fd))
            forked_own(fd);
}

/* --- signals --- */

void forked_own_signal(int signo)
{
    struct sigaction now;
    if (signo > 0 && signo < NSIG && sigaction(signo, NULL, &now) == 0)
        atomic_store_explicit(&state.handlers[signo], (uintptr_t)now.sa_handler, memory_order_relaxed);
}
