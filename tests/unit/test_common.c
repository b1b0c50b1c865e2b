/* SPDX-License-Identifier: BSD-3-Clause */
/* test_common.c: the log under bad conditions, messages between processes, dates and times, lists of
 * elements, the scoreboard. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/fatal.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "common/span.h"
#include "tests/unit/unit.h"

/* Standard error is a pipe from here on; returns its read end, non-blocking. */
static int capture_stderr(void)
{
    int fds[2];
    if (pipe2(fds, O_NONBLOCK) < 0 || dup2(fds[1], STDERR_FILENO) < 0)
        abort();
    close(fds[1]);
    fcntl(STDERR_FILENO, F_SETFL, 0);
    CHECK(log_open("-", LOG_LEVEL_INFO, false) == 0);
    return fds[0];
}

/* All that is waiting. */
static struct buf drain(int fd)
{
    struct buf b = { 0 };
    char piece[4096];
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        if (buf_add(&b, piece, (size_t)n) < 0)
            abort();
    if (buf_add(&b, "", 1) < 0)
        abort();
    return b;
}

static void check_logged(int fd, const char *expected)
{
    struct buf b = drain(fd);
    const char *text = strstr(b.p + b.start, "] [");
    text = text ? strstr(text + 1, "] [") : NULL;
    CHECK_MSG(text && strcmp(text + 2, expected) == 0, "got \"%s\"", b.p + b.start);
    buf_release(&b);
}

static void test_escapes(int fd)
{
    log_info("GET %s", "/\n[2026-01-01 00:00:00 +0000] [1] [INFO] forged\r\x1b[2J\x7f");
    check_logged(fd, "[INFO] GET /\\x0a[2026-01-01 00:00:00 +0000] [1] [INFO] forged\\x0d\\x1b[2J\\x7f\n");
    log_info("%s", "tab\there, \xc3\xa4, \xc2\x9b");
    check_logged(fd, "[INFO] tab\there, \xc3\xa4, \\xc2\\x9b\n");
    log_block(LOG_LEVEL_ERROR, "first", "one\ntwo\x07", 8);
    check_logged(fd, "[ERROR] first\none\ntwo\\x07\n");
    log_info("%s", "\x9b|\xff|\xc0\xaf|\xe2\x80\xa8|\xe2\x80\xae|\xe2\x81\xa6|\xe2\x82\xac|"
                   "\xf0\x9f\x98\x80|\xc2\x85|\xe2\x82");
    check_logged(fd, "[INFO] \\x9b|\\xff|\\xc0\\xaf|\\xe2\\x80\\xa8|\\xe2\\x80\\xae|\\xe2\\x81\\xa6|\xe2\x82\xac|"
                     "\xf0\x9f\x98\x80|\\xc2\\x85|\\xe2\\x82\n");
    static const char traceback[] = "x\n[2026-01-01 00:00:00 +0000] [1] [ERROR] forged\n[\n a[b\n";
    log_block(LOG_LEVEL_ERROR, "first", traceback, sizeof(traceback) - 1);
    check_logged(fd, "[ERROR] first\nx\n [2026-01-01 00:00:00 +0000] [1] [ERROR] forged\n [\n a[b\n");
    log_block(LOG_LEVEL_ERROR, "first", "[\n[\n[\n[", 7);
    check_logged(fd, "[ERROR] first\n [\n [\n [\n [\n");
    log_block(LOG_LEVEL_ERROR, "alone", NULL, 0);
    check_logged(fd, "[ERROR] alone\n");
    log_debug("%s", "below the level");
    struct buf b = drain(fd);
    CHECK(buf_len(&b) == 1);
    buf_release(&b);

    char small[6];
    CHECK(log_escape(small, sizeof(small), "ab\nc", 4, "") == 6);
    CHECK(log_escape(small, 5, "ab\nc", 4, "") == 2); /* never half an escape */
    CHECK(log_escape(small, sizeof(small), "a\0b", 3, "\n") == 6 && memcmp(small, "a\\x00b", 6) == 0);
}

static void test_long_lines(int fd)
{
    static char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    log_info("%s", text);
    struct buf b = drain(fd);
    CHECK(buf_len(&b) > 5000 && b.p[b.end - 2] == '\n');
    buf_release(&b);
}

static void test_errno_is_kept(int fd)
{
    errno = EXDEV;
    log_error("%m");
    CHECK(errno == EXDEV);
    struct buf b = drain(fd);
    CHECK(strstr(b.p, strerror(EXDEV)) != NULL);
    buf_release(&b);
}

static void test_full_pipe(int fd)
{
    uint64_t before = log_dropped();
    unsigned n = 0;
    while (log_dropped() == before && n < 100000)
        log_info("line %u", n++);
    log_info("%s", "lost as well");
    CHECK(log_dropped() == before + 2);
    struct buf b = drain(fd);
    CHECK(b.p[b.end - 2] == '\n'); /* no half line */
    CHECK(!strstr(b.p, "lost"));
    buf_release(&b);
    log_info("%s", "back");
    b = drain(fd);
    CHECK(strstr(b.p, "2 log lines could not be written and are lost\n") && strstr(b.p, "back\n"));
    buf_release(&b);
}

static void test_file(void)
{
    char folder[] = "/tmp/tine-test-XXXXXX";
    char path[64], old[64];
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(old, sizeof(old), "%s/log.1", folder);
    CHECK(log_open("/no/such/folder/log", LOG_LEVEL_DEBUG, false) == -1 && log_level() == LOG_LEVEL_INFO);
    CHECK(log_open(path, LOG_LEVEL_DEBUG, false) == 0);
    int fd = log_fd();
    log_debug("%s", "one");
    CHECK(rename(path, old) == 0);
    log_debug("%s", "two");
    CHECK(log_reopen() == 0 && log_fd() == fd);
    log_debug("%s", "three");
    int old_fd = open(old, O_RDONLY), new_fd = open(path, O_RDONLY);
    struct buf b = drain(old_fd);
    CHECK(strstr(b.p, "one\n") && strstr(b.p, "two\n") && !strstr(b.p, "three\n"));
    buf_release(&b);
    b = drain(new_fd);
    CHECK(strstr(b.p, "[DEBUG] three\n") && !strstr(b.p, "two\n"));
    buf_release(&b);
    close(old_fd);
    close(new_fd);
    unlink(old);
    unlink(path);
    rmdir(folder);
    CHECK(log_open("-", LOG_LEVEL_INFO, false) == 0);
}

static void test_full_disk(void)
{
    uint64_t before = log_dropped();
    CHECK(log_open("/dev/full", LOG_LEVEL_INFO, false) == 0);
    log_info("%s", "nowhere");
    CHECK(log_dropped() == before + 1);
    CHECK(log_open("-", LOG_LEVEL_INFO, false) == 0);
}

static void test_fatal(int fd)
{
    pid_t pid = fork();
    if (pid == 0) {
        fatal_unless(fd < 0);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    struct buf b = drain(fd);
    CHECK(strstr(b.p, "[CRITICAL] bug: ") && strstr(b.p, "test_fatal: assertion \"fd < 0\" failed\n"));
    buf_release(&b);
}

static void test_ipc(void)
{
    static char large[IPC_MAX_PAYLOAD + 100];
    static struct ipc_msg msg;
    int fds[2];
    CHECK(ipc_pair(fds) == 0);
    CHECK(ipc_recv(fds[0], &msg) == 0);
    CHECK(ipc_send(fds[1], IPC_READY, NULL, 0) == 0);
    CHECK(ipc_recv(fds[0], &msg) == 1 && msg.type == IPC_READY && msg.n == 0 && msg.payload[0] == '\0');
    memset(large, 'a', sizeof(large));
    large[99] = 'b';
    large[100] = 'c';
    CHECK(ipc_send(fds[1], IPC_FAILED, large, sizeof(large)) == 0);
    CHECK(ipc_recv(fds[0], &msg) == 1 && msg.type == IPC_FAILED && msg.n == IPC_MAX_PAYLOAD);
    CHECK(msg.payload[0] == 'c' && msg.payload[msg.n] == '\0');
    unsigned n = 0;
    while (n < 1000000 && ipc_send(fds[0], IPC_REOPEN, NULL, 0) == 0)
        n++;
    CHECK_MSG(errno == EAGAIN && n > 10, "%u, %s", n, strerror(errno));
    CHECK(write(fds[1], "\xff", 1) == 1 && ipc_recv(fds[0], &msg) == -1); /* no such type */
    close(fds[0]);
    while (n && ipc_recv(fds[1], &msg) == 1)
        n--;
    CHECK(n == 0 && ipc_recv(fds[1], &msg) == -1);
    CHECK(ipc_send(fds[1], IPC_READY, NULL, 0) == -1 && errno == EPIPE);
    close(fds[1]);

    /* Last words are heard although the one who sent them had not read ours. */
    CHECK(ipc_pair(fds) == 0);
    CHECK(ipc_send(fds[0], IPC_LOOK, NULL, 0) == 0 && ipc_send(fds[1], IPC_FAILED, "why", 3) == 0);
    close(fds[1]);
    CHECK(ipc_recv(fds[0], &msg) == 1 && msg.type == IPC_FAILED && strcmp((char *)msg.payload, "why") == 0);
    CHECK(ipc_recv(fds[0], &msg) == -1);
    close(fds[0]);
    CHECK(strcmp(ipc_name(IPC_NEED_MAIN), "NEED_MAIN") == 0);
}

static void test_date(void)
{
    struct http_date d = { 0 };
    char expected[64];
    struct tm tm;
    const char *text = http_date(&d);
    gmtime_r(&d.second, &tm);
    strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    CHECK_MSG(strcmp(text, expected) == 0, "%s, not %s", text, expected);
    CHECK(strlen(text) == HTTP_DATE_LEN && http_date(&d) == text);
}

/* A list, its elements joined by "|", each followed by one. */
static void check_list(const char *list, const char *expected)
{
    struct span rest = span_of(list), element = { NULL, 0 };
    char seen[64] = "";
    while (span_next_element(&rest, &element)) {
        strncat(seen, element.p, element.n);
        strcat(seen, "|");
    }
    CHECK_MSG(strcmp(seen, expected) == 0, "\"%s\" gives %s, not %s", list, seen, expected);
    CHECK(rest.n == 0 && !span_next_element(&rest, &element));
}

static void test_lists(void)
{
    check_list("", "");
    check_list("a", "a|");
    check_list("gzip, br", "gzip|br|");
    check_list("a,b\t ,\t c d ", "a|b|c d|");
    check_list(",, ,a, ,\t,b,", "a|b|"); /* RFC 9110 5.6.1.2: empty elements */
    check_list(" , ", "");
    CHECK(span_list_has(SPAN("keep-alive ,CLOSE"), SPAN("close")));
    CHECK(!span_list_has(SPAN("close-not, not close"), SPAN("close")));
    CHECK(!span_list_has(SPAN(""), SPAN("close")) && !span_list_has(SPAN(", ,"), SPAN("")));
    /* The list is not terminated: nothing after its length is read. */
    CHECK(!span_list_has((struct span){ "closed", 4 }, SPAN("close")));
}

static void test_timeval(void)
{
    struct timeval none = timeval_of_ms(0), some = timeval_of_ms(12345), much = timeval_of_ms(4000000000999u);
    CHECK(none.tv_sec == 0 && none.tv_usec == 0);
    CHECK(some.tv_sec == 12 && some.tv_usec == 345000);
    CHECK(much.tv_sec == 4000000000 && much.tv_usec == 999000);
}

static void test_scoreboard(void)
{
    struct scoreboard *board = scoreboard_new(3);
    CHECK(board && board->n == 3 && sizeof(struct score) % 64 == 0);
    pid_t pid = fork();
    if (pid == 0) {
        score_add64(&board->slot[2].requests, 7);
        score_add32(&board->slot[2].connections, 2);
        score_add32(&board->slot[2].connections, -1);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(board->slot[2].requests == 7 && board->slot[2].connections == 1 && board->slot[1].requests == 0);
    scoreboard_clear(board, 2);
    CHECK(board->slot[2].requests == 0 && board->slot[2].connections == 0);
    scoreboard_free(board);
    scoreboard_free(NULL);
}

int main(void)
{
    int fd = capture_stderr();
    test_escapes(fd);
    test_long_lines(fd);
    test_errno_is_kept(fd);
    test_full_pipe(fd);
    test_file();
    test_full_disk();
    test_fatal(fd);
    test_ipc();
    test_date();
    test_lists();
    test_timeval();
    test_scoreboard();
    return unit_done();
}
