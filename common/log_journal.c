/* SPDX-License-Identifier: BSD-3-Clause */
/* log_journal.c: see log_journal.h. */
#include "common/log_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fdutil.h"

#define JOURNAL_PREFIX "journald"
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

const char *log_journal_socket(const char *path)
{
    size_t n = strlen(JOURNAL_PREFIX);
    if (strncmp(path, JOURNAL_PREFIX, n) != 0)
        return NULL;
    return !path[n] ? LOG_JOURNAL_SOCKET : path[n] == ':' && path[n + 1] == '/' ? path + n + 1 : NULL;
}

int log_journal_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        int saved = errno;
        fd_close(&fd);
        errno = saved;
    }
    return fd;
}

bool log_journal_is_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    // NOLINTNEXTLINE(cert-err34-c): compared with what is there
    return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool send_file(int fd, int file)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = { .msg_control = control.room, .msg_controllen = sizeof(control.room) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &file, sizeof(int));
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool send_large(int fd, const char *p, size_t n)
{
    int file = memfd_create("tine log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool sent = file >= 0 && write_all(file, p, n) && fcntl(file, F_ADD_SEALS, SEALS) == 0 && send_file(fd, file);
    fd_close(&file);
    return sent;
}

bool log_journal_send(int fd, const char *p, size_t n)
{
    if (TEMP_FAILURE_RETRY(send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0)
        return true;
    return errno == EMSGSIZE && send_large(fd, p, n);
}
