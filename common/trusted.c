/* SPDX-License-Identifier: BSD-3-Clause */
/* trusted.c: opens a file in a folder that others may write to. Walks the path name by name, so that nothing can be
 * exchanged between the look and the step. */
#include "common/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/fdutil.h"

#define LINKS_MOST 40 /* as the kernel's */
#define STEP_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)

struct way {
    int dir; /* where `rest` starts */
    unsigned links; /* followed so far */
    const char *at; /* in `rest` */
    char rest[PATH_MAX];
};

/* The next name, alone and terminated. Whether it is the last one; -1 with errno. */
static int next_name(struct way *w, char name[NAME_MAX + 1])
{
    w->at += strspn(w->at, "/");
    size_t n = strcspn(w->at, "/");
    if (!n || n > NAME_MAX) {
        errno = n ? ENAMETOOLONG : EISDIR;
        return -1;
    }
    memcpy(name, w->at, n);
    name[n] = '\0';
    w->at += n;
    return !*w->at;
}

static int enter(struct way *w, int fd)
{
    if (fd < 0)
        return -1;
    fd_close(&w->dir);
    w->dir = fd;
    return 0;
}

/* /proc/self/fd/1 and the like, which only the kernel can follow. No user can make a link there. */
static bool is_in_proc(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* What the link says goes in front of the rest of the way. */
static int follow(struct way *w, int link, const struct stat *st)
{
    char target[PATH_MAX], rest[PATH_MAX];
    if ((st->st_uid != 0 && st->st_uid != geteuid()) || ++w->links > LINKS_MOST) {
        errno = w->links > LINKS_MOST ? ELOOP : EACCES;
        return -1;
    }
    ssize_t n = readlinkat(link, "", target, sizeof(target));
    if (n < 0)
        return -1;
    int all = snprintf(rest, sizeof(rest), "%.*s%s", (int)n, target, w->at);
    if (n == (ssize_t)sizeof(target) || all >= (int)sizeof(rest)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(w->rest, rest, (size_t)all + 1);
    w->at = w->rest;
    return w->rest[0] == '/' ? enter(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) : 0;
}

/* A name that is there: a step into a folder or along a link. */
static int step(struct way *w, const char *name, int here)
{
    struct stat st;
    if (fstat(here, &st) < 0)
        return -1;
    if (S_ISLNK(st.st_mode) && !is_in_proc(here))
        return follow(w, here, &st);
    return enter(w, openat(w->dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC | (S_ISLNK(st.st_mode) ? 0 : O_NOFOLLOW)));
}

static bool is_link(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode);
}

/* The file, or -1 with errno; -2: one step further. */
static int go_on(struct way *w, int flags, mode_t mode)
{
    char name[NAME_MAX + 1];
    int last = next_name(w, name);
    if (last < 0)
        return -1;
    int here = openat(w->dir, name, STEP_FLAGS), fd = -2;
    if (last && !is_link(here))
        fd = openat(w->dir, name, flags | O_NOFOLLOW, mode);
    else if (last && is_in_proc(here))
        fd = openat(w->dir, name, flags, mode);
    else if (here < 0 || step(w, name, here) < 0)
        fd = -1;
    fd_close(&here);
    return fd;
}

int trusted_open(const char *path, int flags, mode_t mode)
{
    struct way w = { .dir = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC) };
    size_t n = strlen(path);
    int fd = -1;
    if (w.dir < 0)
        return -1;
    w.at = w.rest;
    if (n < sizeof(w.rest)) {
        memcpy(w.rest, path, n + 1);
        do
            fd = go_on(&w, flags, mode);
        while (fd == -2);
    } else {
        errno = ENAMETOOLONG;
    }
    fd_close(&w.dir);
    return fd;
}
