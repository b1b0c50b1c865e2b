/* SPDX-License-Identifier: BSD-3-Clause */
/* log_syslog.c: see log_syslog.h. */
#include "common/log_syslog.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define SYSLOG "syslog"
#define SYSLOG_SOCKET "/dev/log"
/* rsyslog's default for a whole message; syslog-ng's is larger */
#define DATAGRAM_MOST 8192u
#define HEAD_END "]: "

const char *log_syslog_socket(const char *path)
{
    size_t n = strlen(SYSLOG);
    if (strncmp(path, SYSLOG, n) != 0)
        return NULL;
    return !path[n] ? SYSLOG_SOCKET : path[n] == ':' && path[n + 1] == '/' ? path + n + 1 : NULL;
}

/* How much of the text goes into one datagram: whole lines, if there are any. */
static size_t next_piece(const char *p, size_t n, size_t most)
{
    if (n <= most)
        return n;
    const char *end = memrchr(p, '\n', most);
    return end ? (size_t)(end + 1 - p) : most;
}

bool log_syslog_send(int fd, const char *p, size_t n)
{
    const char *end = memmem(p, n, HEAD_END, strlen(HEAD_END));
    size_t head = end ? (size_t)(end - p) + strlen(HEAD_END) : 0;
    for (size_t at = head; at < n;) {
        size_t piece = next_piece(p + at, n - at, DATAGRAM_MOST - head);
        size_t shown = p[at + piece - 1] == '\n' ? piece - 1 : piece;
        struct iovec parts[] = { { (char *)p, head }, { (char *)p + at, shown } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
        if (TEMP_FAILURE_RETRY(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0)
            return false;
        at += piece;
    }
    return true;
}
