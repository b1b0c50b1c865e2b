/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_spool.c: see wsgi_spool.h. The file never has a name that could be left over: closing it frees it. Where no folder
 * takes one, as on a root that is read-only, it is in memory. */
#include "worker/wsgi/wsgi_spool.h"

#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "conf/conf.h"
#include "worker/wsgi/wsgi_state.h"

/* Where the file system cannot make a file without a name, one is taken away at once. -1 with errno. */
static int open_nameless(void)
{
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir)
        dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char *name;
    if (asprintf(&name, "%s/tine-XXXXXX", dir) < 0) {
        errno = ENOMEM;
        return -1;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    free(name);
    return fd;
}

static int open_spool(struct wsgi *wsgi)
{
    int fd = open_nameless(), error = errno;
    if (fd >= 0)
        return fd;
    if ((fd = memfd_create("tine-spool", MFD_CLOEXEC)) < 0) {
        errno = error;
        return -1;
    }
    if (!atomic_exchange_explicit(&wsgi->spools_in_memory, true, memory_order_relaxed))
        log_warning(
            "no file in TMPDIR for what waits for slow clients (%s): it is kept in memory, up to http.limit_memory in "
            "all",
            strerror(error));
    return fd;
}

/* Of all requests of the worker. */
static uint64_t most_in_all(const struct wsgi *wsgi)
{
    uint64_t most = wsgi->env.app->spool * SPOOL_SHARE, memory = wsgi->env.conf->http.limit_memory;
    bool in_memory = atomic_load_explicit(&wsgi->spools_in_memory, memory_order_relaxed);
    return in_memory && memory && memory < most ? memory : most;
}

/* A write() that cannot wait fills a file beyond app.spool, but not the memory. */
static bool is_full_of_memory(const struct wsgi *wsgi, size_t n)
{
    return atomic_load_explicit(&wsgi->spools_in_memory, memory_order_relaxed) &&
           atomic_load_explicit(&wsgi->spooled, memory_order_relaxed) + n > most_in_all(wsgi);
}

bool wsgi_spool_has_room(struct wsgi *wsgi, size_t have, size_t n)
{
    uint64_t most = wsgi->env.app->spool;
    return have + n <= most && atomic_load_explicit(&wsgi->spooled, memory_order_relaxed) + n <= most_in_all(wsgi);
}

int wsgi_spool_add(struct wsgi *wsgi, struct wsgi_spool *s, struct span bytes)
{
    size_t done = 0;
    if (s->fd < 0 && (s->fd = open_spool(wsgi)) < 0)
        return -1;
    if (is_full_of_memory(wsgi, bytes.n)) {
        errno = ENOSPC;
        return -1;
    }
    while (done < bytes.n) {
        ssize_t k = pwrite(s->fd, bytes.p + done, bytes.n - done, (off_t)(s->n + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        done += (size_t)k;
    }
    s->n += done;
    atomic_fetch_add_explicit(&wsgi->spooled, done, memory_order_relaxed);
    return 0;
}

void wsgi_spool_complain(struct wsgi *wsgi, int error)
{
    if (!atomic_exchange_explicit(&wsgi->spool_failed, true, memory_order_relaxed))
        log_warning("no file in TMPDIR for what waits for slow clients (%s): threads wait for them", strerror(error));
}

ssize_t wsgi_spool_read(struct wsgi_spool *s, char *to, size_t most)
{
    size_t n = wsgi_spool_left(s) < most ? wsgi_spool_left(s) : most;
    ssize_t k = 0;
    while (n && (k = pread(s->fd, to, n, (off_t)s->at)) < 0 && errno == EINTR)
        ;
    if (n && !k) { /* the file was truncated */
        errno = EIO;
        return -1;
    }
    if (k > 0)
        s->at += (size_t)k;
    return k;
}

void wsgi_spool_drop(struct wsgi *wsgi, struct wsgi_spool *s)
{
    atomic_fetch_sub_explicit(&wsgi->spooled, s->n, memory_order_relaxed);
    fd_close(&s->fd);
    s->n = s->at = 0;
}
