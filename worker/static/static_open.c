/* SPDX-License-Identifier: BSD-3-Clause */
/* static_open.c: opens the file for the path of a URL below a folder. Two fences: a path that could climb is refused by
 * its text, and the kernel is asked not to leave the folder, whatever symbolic links and renames do meanwhile. */
#include "worker/static/static_open.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/likely.h"
#include "worker/http/percent.h"
#include "worker/static/static_open_walk.h"

#define FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define RETRIES 8

/* A whole name; `first` of the path. */
static bool name_is_good(struct span name, bool first)
{
    if (!name.n)
        return false;
    return name.p[0] != '.' || (first && span_eq(name, SPAN(".well-known")));
}

bool static_path_decode(struct static_path *to, struct span rest)
{
    size_t n = 0, name = 0;
    const char *p = rest.p, *end = rest.p + rest.n;
    if (p < end) /* the slash after the prefix */
        p++;
    while (p < end) {
        int ch = (unsigned char)*p;
        bool encoded = ch == '%';
        if (encoded && (ch = percent_byte(p, (size_t)(end - p))) < 0)
            return false;
        if (ch == 0 || (encoded && ch == '/') || n == PATH_MAX - 1)
            return false;
        if (ch == '/') {
            if (!name_is_good((struct span){ to->s + name, n - name }, name == 0))
                return false;
            name = n + 1;
        }
        to->s[n++] = (char)ch;
        p += encoded ? 3 : 1;
    }
    to->slash = n == name;
    if (!to->slash && !name_is_good((struct span){ to->s + name, n - name }, name == 0))
        return false;
    to->s[n] = '\0';
    to->n = n;
    return true;
}

/* `resolve`: what openat2(2) has to see to. */
static int open_resolving(int dir, const char *path, unsigned long long resolve)
{
    struct open_how how = { .flags = FILE_FLAGS, .resolve = resolve | RESOLVE_NO_MAGICLINKS };
    long fd = -1;
    /* EAGAIN: something was renamed while ".." of a link was looked up. */
    for (int i = 0; i < RETRIES; i++) {
        fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return (int)fd;
}

int static_root_file(const struct static_root *root, const char *path)
{
    const char *name = *path ? path : ".";
    if (likely(!root->walk))
        return open_resolving(root->fd, name, root->follow_links ? 0 : RESOLVE_BENEATH);
    return root->follow_links ? openat(root->fd, name, FILE_FLAGS) : static_open_walk(root->fd, path, FILE_FLAGS);
}

int static_root_open(struct static_root *root, int at, const char *dir, bool follow_links)
{
    int fd = openat(at, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    /* Old container filters answer EPERM for calls that they do not know. */
    int probe = open_resolving(fd, ".", RESOLVE_BENEATH);
    root->walk = probe < 0 && (errno == ENOSYS || errno == EPERM);
    if (probe >= 0)
        close(probe);
    root->fd = fd;
    root->follow_links = follow_links;
    return 0;
}

bool static_root_is_removed(const struct static_root *root)
{
    struct stat st;
    return fstat(root->fd, &st) == 0 && !st.st_nlink;
}

void static_root_close(struct static_root *root)
{
    if (root->fd >= 0)
        close(root->fd);
    root->fd = -1;
}
