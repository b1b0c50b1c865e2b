/* SPDX-License-Identifier: BSD-3-Clause */
/* test_descriptors.c: descriptors that were noted, closed, and replaced; and the end of a process that has lost one. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/heritage.h"
#include "common/log.h"
#include "tests/unit/unit.h"

static void test_closed_and_replaced(void)
{
    struct descriptors d = { 0 };
    int a[2], b[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, a) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, b) == 0);
    descriptors_add(&d, -1, "none");
    CHECK(d.n == 0 && !descriptors_lost(&d));
    descriptors_add(&d, a[0], "the first");
    descriptors_add(&d, a[1], "the second");
    CHECK(d.n == 2 && !descriptors_lost(&d));
    CHECK(dup2(b[0], a[1]) == a[1]);
    const char *lost = descriptors_lost(&d);
    CHECK(lost && !strcmp(lost, "the second"));
    close(a[0]);
    lost = descriptors_lost(&d);
    CHECK(lost && !strcmp(lost, "the first"));
    struct descriptors none = { 0 };
    descriptors_add(&none, a[0], "closed");
    CHECK(none.n == 0);
    close(a[1]);
    close(b[0]);
    close(b[1]);
}

static void test_new_ones(void)
{
    struct descriptors d = { 0 };
    int before[64], pair[2];
    size_t n = descriptors_open(before, 64);
    CHECK(n >= 3 && before[0] == 0 && before[1] == 1 && before[2] == 2);
    CHECK(pipe(pair) == 0);
    descriptors_add_new(&d, before, n, "new");
    CHECK(d.n == 2 && d.v[0].fd == pair[0] && d.v[1].fd == pair[1]);
    close(pair[0]);
    CHECK(descriptors_lost(&d) != NULL);
    close(pair[1]);
    CHECK(descriptors_open(before, 2) == 2);
}

static void test_more_than_there_is_room_for(void)
{
    struct descriptors d = { 0 };
    for (int i = 0; i < 2 * DESCRIPTORS_MAX; i++)
        descriptors_add(&d, STDIN_FILENO, "standard input");
    CHECK(d.n == DESCRIPTORS_MAX && !descriptors_lost(&d));
}

/* What a process that has lost one says on standard error, and its status; `log`: the error log is closed as well. */
static int lose(bool log, char *text, size_t size)
{
    int told[2], status = 0;
    CHECK(pipe(told) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(told[1], STDERR_FILENO);
        char path[] = "/tmp/tine-test-XXXXXX";
        if (log_open(log ? (close(mkstemp(path)), path) : "-", LOG_LEVEL_INFO, false) < 0)
            _exit(1);
        if (log) {
            unlink(path);
            close(log_fd());
        }
        descriptor_lost("a listening socket");
    }
    close(told[1]);
    ssize_t k = read(told[0], text, size - 1);
    text[k > 0 ? k : 0] = '\0';
    close(told[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_the_end(void)
{
    char text[400];
    for (int log = 0; log < 2; log++) {
        CHECK(lose(log, text, sizeof text) == WORKER_EXIT_DESCRIPTORS);
        CHECK_MSG(strstr(text, "[CRITICAL]") && strstr(text, "(a listening socket)") &&
                      strchr(text, '\n') == strrchr(text, '\n'),
                  "%s", text);
    }
}

int main(void)
{
    test_closed_and_replaced();
    test_new_ones();
    test_more_than_there_is_room_for();
    test_the_end();
    return unit_done();
}
