/* SPDX-License-Identifier: BSD-3-Clause */
/* listen_unix.c: Unix sockets: files with a mode, left-overs of a dead server, the abstract name
 * space. Must never take a path away from a server that lives, or remove anything that is not a
 * socket. */
#include "master/listen/busy.h"
#include "master/listen/listen_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/system/privs.h"

/* 0 if a server accepts there, else the errno of the attempt. */
static int try_connect(const struct sockaddr_un *addr, socklen_t n)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    int rc = connect(fd, (const struct sockaddr *)addr, n) < 0 ? errno : 0;
    fd_close(&fd);
    return rc == EAGAIN ? 0 : rc; /* EAGAIN: its queue is full */
}

/* Makes the path free if a dead server left it. 0, or -1 logged. */
static int clear_stale(const struct conf_bind *bind, const struct sockaddr_un *addr, socklen_t n)
{
    struct stat st;
    if (lstat(bind->path, &st) < 0) {
        if (errno == ENOENT)
            return 0;
        log_critical("bind %s: %s", bind->text, strerror(errno));
        return -1;
    }
    if (!S_ISSOCK(st.st_mode)) {
        log_critical("bind %s: the path exists and is not a socket", bind->text);
        return -1;
    }
    int why = try_connect(addr, n);
    if (why == 0 || why == EPROTOTYPE) {
        char *holder = busy_holder((const struct sockaddr *)addr);
        log_critical("bind %s: already in use by %s", bind->text, holder ? holder : "another process");
        free(holder);
        return -1;
    }
    if (why != ECONNREFUSED) {
        log_critical("bind %s: the socket is there and cannot be tried: %s", bind->text, strerror(why));
        return -1;
    }
    if (unlink(bind->path) < 0 && errno != ENOENT) {
        log_critical("bind %s: a dead server left the socket, and it cannot be removed: %s", bind->text,
                     strerror(errno));
        return -1;
    }
    log_info("bind %s: removed the socket that a dead server left", bind->text);
    return 0;
}

/* The mode must be right from the first moment: a chmod() later leaves a gap. */
static int bind_with_mode(int fd, const struct sockaddr_un *addr, socklen_t n, unsigned mode)
{
    mode_t before = umask((mode_t)(~mode & 0777));
    int rc = bind(fd, (const struct sockaddr *)addr, n);
    int saved = errno;
    umask(before);
    errno = saved;
    return rc;
}

bool listen_unix_is_there(const struct conf_bind *bind)
{
    struct stat st;
    return bind->path[0] == '@' || lstat(bind->path, &st) == 0 || errno != ENOENT;
}

/* The owner and the group that it is to have; -1: as it is. 0, or -1 logged. */
static int find_owner(const struct conf_bind *bind, const struct conf_server *conf, const struct privs *privs,
                      uid_t *uid, gid_t *gid)
{
    *uid = privs->drop ? privs->uid : (uid_t)-1;
    *gid = privs->drop ? privs->gid : (gid_t)-1;
    if (!conf->socket_group || privs_find_group(conf->socket_group, gid) == 0)
        return 0;
    log_critical("bind %s: server.socket_group: no group is called %s", bind->text, conf->socket_group);
    return -1;
}

/* The socket that was just made, and nothing that was put in its place. No one can connect before it listens. */
static int give(const struct listen_file *file, uid_t uid, gid_t gid)
{
    struct stat st;
    int fd = open(file->path, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = -1;
    if (fd >= 0 && fstat(fd, &st) == 0) {
        errno = EEXIST;
        if (S_ISSOCK(st.st_mode) && st.st_dev == file->dev && st.st_ino == file->ino)
            rc = fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
    }
    fd_close(&fd);
    return rc;
}

static int make_file(struct listeners *listeners, const struct conf_bind *bind, const struct conf_server *conf,
                     const struct privs *privs, int fd, const struct sockaddr_un *addr, socklen_t n)
{
    uid_t uid;
    gid_t gid;
    if (find_owner(bind, conf, privs, &uid, &gid) < 0) {
        errno = EINVAL;
        return -1;
    }
    if (bind_with_mode(fd, addr, n, conf->socket_mode) < 0)
        return -1;
    if (listeners_own_file(listeners, bind->path) < 0) {
        int saved = errno;
        unlink(bind->path);
        errno = saved;
        return -1;
    }
    if ((uid == (uid_t)-1 && gid == (gid_t)-1) || give(&listeners->files[listeners->n_files - 1], uid, gid) == 0)
        return 0;
    if (errno == EPERM && conf->socket_group)
        log_critical("bind %s: this process is not in the group %s, which the socket is to have", bind->text,
                     conf->socket_group);
    return -1;
}

int listen_unix(struct listeners *listeners, const struct conf_bind *bind, const struct conf_server *conf,
                const struct privs *privs)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    size_t n = strlen(bind->path);
    bool abstract = bind->path[0] == '@';
    if (n >= sizeof(addr.sun_path)) {
        log_critical("bind %s: the path is longer than the %zu bytes that a Unix socket can have", bind->text,
                     sizeof(addr.sun_path) - 1);
        return -1;
    }
    memcpy(addr.sun_path, bind->path, n);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + !abstract);
    if (abstract)
        addr.sun_path[0] = '\0';
    else if (clear_stale(bind, &addr, len) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = fd < 0     ? -1
             : abstract ? bind_with_mode(fd, &addr, len, conf->socket_mode)
                        : make_file(listeners, bind, conf, privs, fd, &addr, len);
    if (rc < 0 || listen(fd, (int)conf->backlog) < 0) {
        log_critical("bind %s: %s", bind->text, strerror(errno));
        fd_close(&fd);
        return -1;
    }
    return listeners_add(listeners, bind, fd);
}
