/* SPDX-License-Identifier: BSD-3-Clause */
/* test_snapshot.c: what a copy of the process does, how it ends, and that the process does not notice. */
#include "worker/python/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static int out[2], seen;
static atomic_int children_ended;

static void on_child(int signo)
{
    children_ended++;
}

static void writes(int arg)
{
    seen = arg;
    (void)!write(out[1], &arg, sizeof arg);
}

static void dies_of(int signo)
{
    kill(getpid(), signo);
}

static void waits(int arg)
{
    for (;;)
        pause();
}

static void closes(int fd)
{
    close(fd);
}

/* What has been written since the last question; -1: nothing. */
static int written(void)
{
    int value;
    return read(out[0], &value, sizeof value) == (ssize_t)sizeof value ? value : -1;
}

static bool has_no_child(void)
{
    return waitpid(-1, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD;
}

static void test_what_it_does(void)
{
    CHECK(snapshot_call(writes, 41, 10) == 0 && written() == 41);
    CHECK(seen == 0 && has_no_child()); /* its memory is its own */
    int other = dup(out[0]);
    CHECK(snapshot_call(closes, other, 10) == 0 && close(other) < 0 && errno == EBADF); /* its descriptors are not */
}

static void test_how_it_ends(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE };
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(snapshot_call(dies_of, signals[i], 10) == signals[i]);
    CHECK(snapshot_call(waits, 0, 1) == SIGALRM);
    sigprocmask(SIG_SETMASK, &before, NULL);
    CHECK(has_no_child());
}

static void test_there_is_none(void)
{
    struct rlimit few, limit;
    getrlimit(RLIMIT_NPROC, &limit);
    few = (struct rlimit){ 0, limit.rlim_max };
    setrlimit(RLIMIT_NPROC, &few);
    int result = snapshot_call(writes, 42, 10), error = errno;
    setrlimit(RLIMIT_NPROC, &limit);
    /* The limit is not for root. */
    CHECK((result == -1 && error == EAGAIN && written() == -1) || (geteuid() == 0 && result == 0 && written() == 42));
}

static void on_question(int signo)
{
    int saved = errno;
    CHECK(snapshot_call(writes, signo, 10) == 0);
    errno = saved;
}

static void *ask_again_and_again(void *thread)
{
    for (int i = 0; i < 100; i++) {
        pthread_kill(*(pthread_t *)thread, SIGUSR2);
        while (written() != SIGUSR2)
            usleep(100);
    }
    return NULL;
}

/* In the midst of malloc(), in whose locks a child of fork(3) would be caught. */
static void test_in_a_handler(void)
{
    pthread_t self = pthread_self(), asker;
    struct sigaction action = { .sa_handler = on_question, .sa_flags = SA_RESTART };
    sigaction(SIGUSR2, &action, NULL);
    CHECK(pthread_create(&asker, NULL, ask_again_and_again, &self) == 0);
    while (pthread_tryjoin_np(asker, NULL) == EBUSY) {
        void *volatile p = malloc(100000);
        free(p);
    }
    CHECK(has_no_child() && children_ended == 0);
}

int main(void)
{
    signal(SIGCHLD, on_child);
    CHECK(pipe2(out, O_NONBLOCK) == 0);
    test_what_it_does();
    test_how_it_ends();
    test_there_is_none();
    test_in_a_handler();
    return unit_done();
}
