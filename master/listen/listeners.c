/* SPDX-License-Identifier: BSD-3-Clause */
/* listeners.c: the table itself: adding, handing on and closing. Opens no socket. */
#include "master/listen/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/listen/listen_guard.h"

char *listeners_address(const struct sockaddr_storage *addr, socklen_t n)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    char *text = NULL;
    if (addr->ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)addr;
        int len = (int)(n - offsetof(struct sockaddr_un, sun_path));
        if (len <= 0)
            return strdup("unix:");
        bool abstract = !un->sun_path[0];
        return asprintf(&text, "unix:%s%.*s", abstract ? "@" : "", len - abstract, un->sun_path + abstract) < 0 ? NULL
                                                                                                                : text;
    }
    int rc = getnameinfo((const struct sockaddr *)addr, n, host, sizeof(host), port, sizeof(port),
                         NI_NUMERICHOST | NI_NUMERICSERV);
    if (rc != 0)
        return strdup("?");
    bool six = addr->ss_family == AF_INET6;
    return asprintf(&text, "%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port) < 0 ? NULL : text;
}

int listeners_add(struct listeners *listeners, const struct conf_bind *bind, int fd)
{
    struct listener l = {
        .fd = fd, .tls = bind->tls, .h2c = bind->h2c, .proxy = bind->proxy, .addr_len = sizeof(l.addr)
    };
    struct listener *v = NULL;
    if (fd_set_nonblocking(fd) < 0 || fd_set_cloexec(fd) < 0 ||
        getsockname(fd, (struct sockaddr *)&l.addr, &l.addr_len) < 0) {
        log_critical("bind %s: %s", bind->text, strerror(errno));
        goto failed;
    }
    l.text = listeners_address(&l.addr, l.addr_len);
    l.guarded = l.text && strncmp(l.text, "unix:", 5) == 0 && listen_is_guarded(l.text + 5);
    l.bind = strdup(bind->text);
    if (l.text && l.bind)
        v = realloc(listeners->v, (listeners->n + 1) * sizeof(*v));
    if (!v) {
        log_critical("bind %s: out of memory", bind->text);
        goto failed;
    }
    v[listeners->n++] = l;
    listeners->v = v;
    return 0;

failed:
    free(l.text);
    free(l.bind);
    close(fd);
    return -1;
}

int listeners_add_again(struct listeners *listeners, const struct conf_bind *bind, const struct listener *open)
{
    int fd = fcntl(open->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0) {
        log_critical("bind %s: %s", bind->text, strerror(errno));
        return -1;
    }
    return listeners_add(listeners, bind, fd);
}

/* --- the end --- */

static bool listens_on(const struct listeners *listeners, const char *path)
{
    for (size_t i = 0; i < listeners->n; i++)
        if (strncmp(listeners->v[i].text, "unix:", 5) == 0 && strcmp(listeners->v[i].text + 5, path) == 0)
            return true;
    return false;
}

void listeners_replace(struct listeners *before, struct listeners *after)
{
    struct listen_file *files = realloc(after->files, (after->n_files + before->n_files + 1) * sizeof(*files));
    if (files)
        after->files = files;
    size_t left = 0;
    after->shared = before->shared;
    for (size_t i = 0; i < before->n_files; i++) {
        /* Without memory the file stays when the service ends: the next start clears it away. */
        if (!before->shared && !listens_on(after, before->files[i].path))
            before->files[left++] = before->files[i];
        else if (files)
            after->files[after->n_files++] = before->files[i];
        else
            free(before->files[i].path);
    }
    before->n_files = left;
    listeners_done(before);
}

static void remove_file(const struct listen_file *f)
{
    struct stat st;
    if (f->maker == getpid() && lstat(f->path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino)
        unlink(f->path);
}

static void forget_files(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->n_files; i++)
        free(listeners->files[i].path);
    free(listeners->files);
    listeners->files = NULL;
    listeners->n_files = 0;
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; !listeners->shared && i < listeners->n_files; i++)
        remove_file(&listeners->files[i]);
    if (!listeners->shared)
        forget_files(listeners);
    for (size_t i = 0; i < listeners->n; i++) {
        close(listeners->v[i].fd);
        free(listeners->v[i].text);
        free(listeners->v[i].bind);
    }
    free(listeners->v);
    listeners->v = NULL;
    listeners->n = listeners->n_serving = 0;
}

void listeners_done(struct listeners *listeners)
{
    listeners_close(listeners);
    forget_files(listeners);
}

int listeners_own_file(struct listeners *listeners, const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return -1;
    struct listen_file *files = realloc(listeners->files, (listeners->n_files + 1) * sizeof(*files));
    if (!files)
        return -1;
    listeners->files = files;
    char *copy = strdup(path);
    if (!copy)
        return -1;
    files[listeners->n_files++] =
        (struct listen_file){ .path = copy, .dev = st.st_dev, .ino = st.st_ino, .maker = getpid() };
    return 0;
}
