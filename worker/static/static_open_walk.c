/* SPDX-License-Identifier: BSD-3-Clause */
/* static_open_walk.c: opens a file below a folder name by name, as strictly as openat2(2) with RESOLVE_BENEATH, for kernels
 * and container filters without it. Links are read, never followed by the kernel, and ".." takes one back to a folder
 * that this walk came through, so that nothing that is renamed meanwhile can lead it out. */
#include "worker/static/static_open_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MOST 64
#define LINKS_MOST 40 /* as the kernel has it (path_resolution(7)) */

struct way {
    int dirs[DEPTH_MOST]; /* [0] is the caller's; the others were opened on the way */
    unsigned depth; /* dirs[depth] is where the way has come to */
    unsigned links;
    char rest[2 * PATH_MAX]; /* what is still to be walked */
};

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Takes the first name off the rest; "" at its end. */
static int take_name(struct way *w, char name[NAME_MAX + 1])
{
    size_t skip = strspn(w->rest, "/"), n = strcspn(w->rest + skip, "/");
    if (n > NAME_MAX)
        return fail(ENAMETOOLONG);
    memcpy(name, w->rest + skip, n);
    name[n] = '\0';
    memmove(w->rest, w->rest + skip + n, strlen(w->rest + skip + n) + 1);
    return 0;
}

static int go_back(struct way *w)
{
    if (!w->depth)
        return fail(EXDEV);
    close(w->dirs[w->depth--]);
    return 0;
}

/* The target of the link `fd` in front of the rest. */
static int take_link(struct way *w, int fd)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(fd, "", target, sizeof(target));
    size_t rest = strlen(w->rest);
    if (n < 0)
        return -1;
    if (n == 0 || target[0] == '/')
        return fail(EXDEV);
    if (++w->links > LINKS_MOST)
        return fail(ELOOP);
    if ((size_t)n + rest >= sizeof(w->rest))
        return fail(ENAMETOOLONG);
    memmove(w->rest + n, w->rest, rest + 1);
    memcpy(w->rest, target, (size_t)n);
    return 0;
}

/* One name further, or through the link of that name. 1: it is no folder and nothing follows: the file. */
static int step(struct way *w, const char *name)
{
    struct stat st;
    int fd = openat(w->dirs[w->depth], name, O_PATH | O_NOFOLLOW | O_CLOEXEC), result;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        result = -1;
    else if (S_ISLNK(st.st_mode))
        result = take_link(w, fd);
    else if (!S_ISDIR(st.st_mode))
        result = *w->rest ? fail(ENOTDIR) : 1;
    else if (w->depth + 1 == DEPTH_MOST)
        result = fail(ENAMETOOLONG);
    else {
        w->dirs[++w->depth] = fd;
        return 0;
    }
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* A link that has taken the place of the file meanwhile is not followed. */
static int walk(struct way *w, int flags)
{
    char name[NAME_MAX + 1];
    for (;;) {
        if (take_name(w, name) < 0)
            return -1;
        if (!*name)
            return openat(w->dirs[w->depth], ".", flags);
        if (!strcmp(name, "."))
            continue;
        int result = strcmp(name, "..") ? step(w, name) : go_back(w);
        if (result)
            return result < 0 ? -1 : openat(w->dirs[w->depth], name, flags | O_NOFOLLOW);
    }
}

int static_open_walk(int root, const char *path, int flags)
{
    struct way w = { .dirs = { root } };
    size_t n = strlen(path);
    if (n >= PATH_MAX)
        return fail(ENAMETOOLONG);
    memcpy(w.rest, path, n + 1);
    int fd = walk(&w, flags), error = errno;
    while (w.depth)
        close(w.dirs[w.depth--]);
    errno = error;
    return fd;
}
