/* SPDX-License-Identifier: BSD-3-Clause */
/* file_watch.c: a change of any folder makes all trees be walked again: the kernel
 * gives the same number for a folder that is watched already, so that a walk finds what is new and
 * what is gone, whatever was renamed to where. Files of new folders are reported by the walk, as
 * they may have been made before the folder was watched.
 */
#include "master/system/file_watch.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdutil.h"

#define EVENTS                                                                                            \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ONLYDIR | IN_DONT_FOLLOW | \
     IN_EXCL_UNLINK)

struct root {
    char *dir;
    bool tree;
};

struct folder {
    int wd;
    char *dir;
    unsigned seen; /* the walk that found it last */
};

struct file_watch {
    const struct file_watch_ops *ops;
    void *arg;
    int fd;
    struct event readable;
    struct root *roots;
    size_t n_roots;
    struct folder *folders;
    size_t n_folders;
    unsigned walk;
    int fault;
};

static struct folder *find(struct file_watch *watch, int wd)
{
    for (size_t i = 0; i < watch->n_folders; i++)
        if (watch->folders[i].wd == wd)
            return &watch->folders[i];
    return NULL;
}

/* Watches one folder. 1: it is new; 0: it was known, or was seen in this walk; -1: cannot be. */
static int watch_folder(struct file_watch *watch, const char *dir)
{
    int wd = inotify_add_watch(watch->fd, dir, EVENTS);
    if (wd < 0) {
        if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP && !watch->fault)
            watch->fault = errno;
        return -1;
    }
    struct folder *known = find(watch, wd);
    char *copy = strdup(dir);
    if (known && copy) {
        free(known->dir);
        known->dir = copy;
        known->seen = watch->walk;
        return 0;
    }
    struct folder *v = copy ? reallocarray(watch->folders, watch->n_folders + 1, sizeof(*v)) : NULL;
    if (v)
        watch->folders = v;
    if (!v || watch->n_folders >= FILE_WATCH_MOST) {
        watch->fault = v ? E2BIG : ENOMEM;
        free(copy);
        if (!known)
            inotify_rm_watch(watch->fd, wd);
        return -1;
    }
    v[watch->n_folders++] = (struct folder){ wd, copy, watch->walk };
    return 1;
}

static enum file_event kind_of(bool first, bool fresh)
{
    return first ? FILE_FOUND : fresh ? FILE_CHANGED : FILE_UNKNOWN;
}

static bool is_folder(const struct dirent *entry, const char *path)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Depth is bounded by PATH_MAX. `first`: its root has just been added. */
static void walk_folder(struct file_watch *watch, const char *dir, bool tree, bool first)
{
    int rc = watch_folder(watch, dir);
    DIR *stream = rc < 0 ? NULL : opendir(dir);
    const struct dirent *entry;
    char path[PATH_MAX];
    while (stream && (entry = readdir(stream)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            (size_t)snprintf(path, sizeof(path), "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name) >= sizeof(path))
            continue;
        if (is_folder(entry, path)) {
            if (tree && watch->ops->enters(watch->arg, dir, name))
                walk_folder(watch, path, true, first);
        } else if (kind_of(first, rc > 0) != FILE_UNKNOWN) {
            watch->ops->happened(watch->arg, kind_of(first, rc > 0), path);
        }
    }
    if (stream)
        closedir(stream);
}

/* Those that the last walk did not find are elsewhere now, or gone. */
static void forget_unseen(struct file_watch *watch)
{
    size_t left = 0;
    for (size_t i = 0; i < watch->n_folders; i++) {
        struct folder *f = &watch->folders[i];
        if (f->seen == watch->walk) {
            watch->folders[left++] = *f;
            continue;
        }
        inotify_rm_watch(watch->fd, f->wd);
        free(f->dir);
    }
    watch->n_folders = left;
}

static void walk_all(struct file_watch *watch)
{
    watch->walk++;
    for (size_t i = 0; i < watch->n_roots; i++)
        walk_folder(watch, watch->roots[i].dir, watch->roots[i].tree, false);
    forget_unseen(watch);
}

int file_watch_add(struct file_watch *watch, const char *dir, bool tree)
{
    for (size_t i = 0; i < watch->n_roots; i++)
        if (strcmp(watch->roots[i].dir, dir) == 0 && watch->roots[i].tree >= tree)
            return 0;
    struct root *v = reallocarray(watch->roots, watch->n_roots + 1, sizeof(*v));
    if (!v)
        return -1;
    watch->roots = v;
    v[watch->n_roots] = (struct root){ strdup(dir), tree };
    if (!v[watch->n_roots].dir)
        return -1;
    watch->n_roots++;
    walk_folder(watch, dir, tree, true);
    return 0;
}

/* A link made to a file is complete at once; a file made by open(2) is so when it is closed. */
static bool is_complete(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

/* True: folders have changed. */
static bool take_event(struct file_watch *watch, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW) {
        watch->ops->happened(watch->arg, FILE_UNKNOWN, NULL);
        return true;
    }
    const struct folder *folder = find(watch, e->wd);
    if (e->mask & IN_IGNORED) /* the folder is gone; or we let go of it, and do not know it any more */
        return folder != NULL;
    if (e->mask & IN_ISDIR)
        return folder && e->len && watch->ops->enters(watch->arg, folder->dir, e->name);
    char path[PATH_MAX];
    if (!folder || !e->len || (size_t)snprintf(path, sizeof(path), "%s/%s", folder->dir, e->name) >= sizeof(path))
        return false;
    if (e->mask & (IN_CLOSE_WRITE | IN_MOVED_TO) || (e->mask & IN_CREATE && is_complete(path)))
        watch->ops->happened(watch->arg, FILE_CHANGED, path);
    else if (e->mask & (IN_DELETE | IN_MOVED_FROM))
        watch->ops->happened(watch->arg, FILE_VANISHED, path);
    return false;
}

static void on_readable(int fd, short what, void *arg)
{
    struct file_watch *watch = arg;
    _Alignas(struct inotify_event) char buf[16384];
    bool folders = false;
    ssize_t n = read(fd, buf, sizeof(buf));
    for (char *p = buf; n > 0 && p < buf + n;) {
        const struct inotify_event *e = (const struct inotify_event *)(const void *)p;
        folders |= take_event(watch, e);
        p += sizeof(*e) + e->len;
    }
    if (folders)
        walk_all(watch);
}

struct file_watch *file_watch_new(struct event_base *base, const struct file_watch_ops *ops, void *arg)
{
    struct file_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    *watch = (struct file_watch){ .ops = ops, .arg = arg };
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd >= 0 &&
        event_assign(&watch->readable, base, watch->fd, EV_READ | EV_PERSIST, on_readable, watch) == 0 &&
        event_add(&watch->readable, NULL) == 0)
        return watch;
    int saved = errno;
    fd_close(&watch->fd);
    free(watch);
    errno = saved;
    return NULL;
}

void file_watch_free(struct file_watch *watch)
{
    if (!watch)
        return;
    event_del(&watch->readable);
    fd_close(&watch->fd);
    for (size_t i = 0; i < watch->n_roots; i++)
        free(watch->roots[i].dir);
    for (size_t i = 0; i < watch->n_folders; i++)
        free(watch->folders[i].dir);
    free(watch->roots);
    free(watch->folders);
    free(watch);
}

int file_watch_fault(const struct file_watch *watch)
{
    return watch->fault;
}

size_t file_watch_count(const struct file_watch *watch)
{
    return watch->n_folders;
}
