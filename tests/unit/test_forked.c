/* SPDX-License-Identifier: BSD-3-Clause */
/* test_forked.c: what a forked child finds of descriptors, signals and the mask, and that no fork comes between accepting
 * or closing a connection and saying so. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/forked.h"
#include "tests/unit/unit.h"

/* The exit status of a child that runs look(arg). */
static int in_child(int (*look)(void *), void *arg)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(look(arg));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int is_open(void *fd)
{
    return fcntl(*(int *)fd, F_GETFD) >= 0;
}

static void test_descriptors(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC), number = null;
    CHECK(null >= 0 && in_child(is_open, &number) == 1);
    forked_own(null);
    CHECK(forked_owns(null) && in_child(is_open, &number) == 0);
    CHECK(is_open(&number)); /* here it is */
    forked_disown(null);
    CHECK(!forked_owns(null) && in_child(is_open, &number) == 1);
    forked_own(null);
    fd_close(&null);
    CHECK(null == -1 && !forked_owns(number) && !is_open(&number));
    null = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the same number again, another's */
    CHECK(null == number && in_child(is_open, &number) == 1);
    close(null);
    forked_own(-1);
    CHECK(!forked_owns(-1));
}

static void test_high_descriptor(void)
{
    int high = fcntl(0, F_DUPFD_CLOEXEC, 700);
    CHECK(high >= 700);
    forked_own(high);
    CHECK(in_child(is_open, &high) == 0);
    fd_close(&high);
}

static void test_own_since(void)
{
    struct forked_mark mark;
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    forked_mark(&mark);
    int after[2];
    CHECK(pipe2(after, O_CLOEXEC) == 0);
    forked_own_since(&mark);
    CHECK(!forked_owns(before) && forked_owns(after[0]) && forked_owns(after[1]));
    fd_close(&after[0]);
    fd_close(&after[1]);
    close(before);
}

static int depth(void *unused)
{
    return forked_is_child() ? (int)forked_depth : 0;
}

static int depth_of_grandchild(void *unused)
{
    return in_child(depth, NULL);
}

static void test_depth(void)
{
    CHECK(depth(NULL) == 0 && in_child(depth, NULL) == 1 && in_child(depth_of_grandchild, NULL) == 2);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    forked_own(null);
    forked_expect_own(true);
    CHECK(in_child(depth, NULL) == 0 && in_child(is_open, &null) == 1);
    forked_expect_own(false);
    CHECK(in_child(depth, NULL) == 1 && in_child(is_open, &null) == 0);
    fd_close(&null);
}

static void on_signal(int signo)
{
}

static void another(int signo)
{
}

static int has_default(void *signo)
{
    struct sigaction now;
    return sigaction(*(int *)signo, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

static int is_masked(void *signo)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, *(int *)signo);
}

static void test_signals(void)
{
    int term = SIGTERM, hup = SIGHUP;
    signal(SIGTERM, on_signal);
    CHECK(in_child(has_default, &term) == 0);
    forked_own_signal(SIGTERM);
    CHECK(in_child(has_default, &term) == 1 && !has_default(&term));
    signal(SIGTERM, another); /* the application's */
    CHECK(in_child(has_default, &term) == 0);
    signal(SIGHUP, SIG_IGN);
    forked_own_signal(SIGHUP);
    CHECK(in_child(has_default, &hup) == 1);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    CHECK(in_child(is_masked, &term) == 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* the application's: it stays */
    CHECK(in_child(is_masked, &term) == 1 && in_child(is_masked, &hup) == 0 && is_masked(&term));
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* --- forks while another thread accepts and closes --- */

struct door {
    int listening;
    struct sockaddr_in address;
    atomic_bool over;
};

static void *accept_and_close(void *arg)
{
    struct door *door = arg;
    while (!door->over) {
        struct sockaddr_in peer;
        socklen_t n = sizeof(peer);
        int fd = forked_accept(door->listening, (struct sockaddr *)&peer, &n);
        if (fd >= 0)
            fd_close(&fd);
    }
    return NULL;
}

static void *connect_and_close(void *arg)
{
    struct door *door = arg;
    while (!door->over) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        connect(fd, (struct sockaddr *)&door->address, sizeof(door->address));
        close(fd);
    }
    return NULL;
}

/* Connections that are the server's: their own port is the listening one. */
static int accepted_sockets(void *arg)
{
    const struct door *door = arg;
    int found = 0;
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in own;
        socklen_t n = sizeof(own);
        found += getsockname(fd, (struct sockaddr *)&own, &n) == 0 && own.sin_port == door->address.sin_port;
    }
    return found;
}

static void test_forks_meanwhile(void)
{
    struct door door = { .listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                         .address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
    socklen_t n = sizeof(door.address);
    CHECK(bind(door.listening, (struct sockaddr *)&door.address, n) == 0 && listen(door.listening, 64) == 0);
    getsockname(door.listening, (struct sockaddr *)&door.address, &n);
    forked_own(door.listening);
    pthread_t threads[2];
    CHECK(pthread_create(&threads[0], NULL, accept_and_close, &door) == 0);
    CHECK(pthread_create(&threads[1], NULL, connect_and_close, &door) == 0);
    int found = 0;
    for (int i = 0; i < 300; i++)
        found += in_child(accepted_sockets, &door);
    CHECK(found == 0);
    door.over = true;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    fd_close(&door.listening);
}

int main(void)
{
    CHECK(forked_begin() == 0);
    test_descriptors();
    test_high_descriptor();
    test_own_since();
    test_depth();
    test_signals();
    test_forks_meanwhile();
    return unit_done();
}
