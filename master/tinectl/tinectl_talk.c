/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_talk.c: one request to the master and its answer. */
#include "master/tinectl/tinectl_talk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fdutil.h"
#include "common/span.h"

#define USUAL_FILE "tine.ini"
#define USUAL_SOCKET "/run/tine/control.sock"

/* --- where --- */

/* The value of a line "key = value ; remark"; p is NULL: it is another line. */
static struct span value_of(struct span line, const char *key)
{
    size_t n = strlen(key);
    struct span none = { NULL, 0 };
    if (line.n < n || memcmp(line.p, key, n) != 0)
        return none;
    struct span rest = span_trim((struct span){ line.p + n, line.n - n });
    if (!rest.n || (rest.p[0] != '=' && rest.p[0] != ':'))
        return none;
    rest.p++, rest.n--;
    for (size_t i = 1; i < rest.n; i++)
        if (rest.p[i] == ';' && (rest.p[i - 1] == ' ' || rest.p[i - 1] == '\t'))
            rest.n = i;
    return span_trim(rest);
}

static void keep(char **to, struct span value)
{
    if (!value.p)
        return;
    free(*to);
    *to = value.n ? strndup(value.p, value.n) : NULL;
}

/* Only these two keys are looked at, so that a file with mistakes elsewhere serves as well: it is
 * after a failed reload that somebody asks. */
static void scan(FILE *in, char **socket_path, char **folder)
{
    char *text = NULL;
    size_t size = 0;
    bool control = false, server = false;
    ssize_t n;
    while ((n = getline(&text, &size, in)) > 0) {
        while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
            n--;
        struct span line = span_trim((struct span){ text, (size_t)n });
        if (line.n && line.p[0] == '[') {
            control = line.n >= 9 && memcmp(line.p, "[control]", 9) == 0;
            server = line.n >= 8 && memcmp(line.p, "[server]", 8) == 0;
        } else if (control) {
            keep(socket_path, value_of(line, "socket"));
        } else if (server) {
            keep(folder, value_of(line, "chdir"));
        }
    }
    free(text);
}

/* A path in the file counts from server.chdir; NULL: the file names no socket, or is not there. */
static char *from_file(const char *file)
{
    char *path = NULL, *folder = NULL;
    FILE *in = fopen(file, "re");
    if (!in)
        return NULL;
    scan(in, &path, &folder);
    fclose(in);
    char *whole = NULL;
    if (path && folder && path[0] != '/' && path[0] != '@' && asprintf(&whole, "%s/%s", folder, path) >= 0) {
        free(path);
        path = whole;
    }
    free(folder);
    return path;
}

bool talk_file_is_silent(const char *file)
{
    char *path = access(file, R_OK) == 0 ? from_file(file) : strdup("");
    bool silent = !path;
    free(path);
    return silent;
}

char *talk_find_socket(const char *option, const char *file)
{
    const char *named = option ? option : file ? NULL : getenv("TINE_CONTROL");
    if (named && *named)
        return strdup(named);
    char *path = from_file(file ? file : USUAL_FILE);
    if (!path && file)
        fprintf(stderr, "tinectl: %s cannot be read, or has no socket in [control]\n", file);
    else if (!path)
        path = strdup(USUAL_SOCKET);
    return path;
}

/* --- talking --- */

int talk_connect(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    bool abstract = path[0] == '@';
    if (n >= sizeof(addr.sun_path)) {
        fprintf(stderr, "tinectl: %s: the path is too long for a socket\n", path);
        return -1;
    }
    memcpy(addr.sun_path, path, n);
    if (abstract)
        addr.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + !abstract);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, size) == 0)
        return fd;
    const char *hint = errno == ENOENT         ? " (is control.socket set, and the server running? -s names "
                                                 "another socket)"
                       : errno == ECONNREFUSED ? " (the server that made it is gone)"
                                               : "";
    fprintf(stderr, "tinectl: %s: %s%s\n", path, strerror(errno), hint);
    fd_close(&fd);
    return -1;
}

/* 0, or -1 with errno (0: the end). */
static int read_line(int fd, struct buf *line)
{
    for (;;) {
        char *to = buf_room(line, 65536);
        if (!to)
            return -1;
        ssize_t n = read(fd, to, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : 0;
            return -1;
        }
        buf_grew(line, (size_t)n);
        if (to[n - 1] == '\n')
            return 0;
    }
}

char *talk_ask(int fd, const char *command, unsigned seconds, size_t *ret_n, const char **ret_why)
{
    struct timeval most = { .tv_sec = seconds };
    struct buf line = { 0 };
    char text[128];
    int n = snprintf(text, sizeof(text), "%s\n", command);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    /* Refused, we may still read why. */
    bool sent = send(fd, text, (size_t)n, MSG_NOSIGNAL) == n || errno == EPIPE;
    if (sent && read_line(fd, &line) == 0) {
        *ret_n = buf_len(&line) - 1;
        line.p[line.end - 1] = '\0';
        return line.p; /* nothing was taken from the front */
    }
    *ret_why = errno == 0 || errno == ECONNRESET         ? "the server closed the connection"
               : errno == EAGAIN || errno == EWOULDBLOCK ? "the server does not answer"
                                                         : strerror(errno);
    buf_release(&line);
    return NULL;
}

void talk_wait_end(int fd)
{
    struct timeval none = { 0 };
    struct buf rest = { 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    while (read_line(fd, &rest) == 0) {
    }
    buf_release(&rest);
}
