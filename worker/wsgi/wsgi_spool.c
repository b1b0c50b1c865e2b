/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_spool.c: see wsgi_spool.h. The file is the kernel's to forget: it never has a name that could be left behind. */
#include "worker/wsgi/wsgi_spool.h"

#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "worker/wsgi/wsgi_call.h"

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

int wsgi_spool_add(struct wsgi_call *c, struct span bytes)
{
    if (c->spool_fd < 0 && (c->spool_fd = open_nameless()) < 0)
        goto fail;
    while (bytes.n) {
        ssize_t k = pwrite(c->spool_fd, bytes.p, bytes.n, (off_t)c->spool_n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            goto fail;
        c->spool_n += (size_t)k;
        bytes.p += k;
        bytes.n -= (size_t)k;
    }
    return 0;
fail:
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

enum wsgi_sent wsgi_spool_send(struct wsgi_call *c)
{
    struct wsgi_piece piece = { .fd = c->spool_fd, .n = c->spool_n };
    c->spool_fd = -1;
    c->spool_n = 0;
    return wsgi_out_now(c, &piece);
}
