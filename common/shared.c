/* SPDX-License-Identifier: BSD-3-Clause */
/* shared.c: see shared.h. */
#include "common/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdutil.h"

/* A limit on the size of files (RLIMIT_FSIZE) holds for this one too, though it is none: it is lifted for the moment. */
static int set_size(int fd, size_t n)
{
    struct rlimit limit, lifted;
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur >= n)
        return ftruncate(fd, (off_t)n);
    lifted = (struct rlimit){ limit.rlim_max, limit.rlim_max };
    if (limit.rlim_max < n || setrlimit(RLIMIT_FSIZE, &lifted) < 0) {
        errno = EFBIG;
        return -1;
    }
    int rc = ftruncate(fd, (off_t)n);
    int saved = errno;
    setrlimit(RLIMIT_FSIZE, &limit);
    errno = saved;
    return rc;
}

int shared_new(struct shared *to, const char *name, size_t n)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *p = MAP_FAILED;
    /* Nobody may cut it: a reader of bytes that are gone is killed. */
    if (fd >= 0 && set_size(fd, n) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED) {
        fd_close(&fd);
        return -1;
    }
    *to = (struct shared){ p, n, fd };
    return 0;
}

int shared_map(struct shared *to, int fd, size_t n, bool writable)
{
    struct stat st;
    void *p = MAP_FAILED;
    if (fstat(fd, &st) == 0) {
        if (st.st_size >= 0 && (size_t)st.st_size >= n)
            p = mmap(NULL, n, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED | MAP_NORESERVE, fd, 0);
        else
            errno = EINVAL;
    }
    fd_close(&fd);
    if (p == MAP_FAILED)
        return -1;
    *to = (struct shared){ p, n, -1 };
    return 0;
}

void shared_keep_out_of_dumps(const struct shared *shared)
{
    madvise(shared->p, shared->n, MADV_DONTDUMP);
}

void shared_free(struct shared *shared)
{
    if (shared->p)
        munmap(shared->p, shared->n);
    fd_close(&shared->fd);
    *shared = (struct shared){ .fd = -1 };
}
