/* SPDX-License-Identifier: BSD-3-Clause */
/* file_watch.h: folders whose files are watched by inotify, with all that is below them where asked
 * for. Knows names and changes, and not what they mean.
 *
 * Must never follow a symbolic link to a folder: the tree may lead back into itself.
 */
#ifndef TINE_MASTER_FILE_WATCH_H
#define TINE_MASTER_FILE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct file_watch;

enum file_event {
    FILE_FOUND,    /* was there when its tree was added */
    FILE_CHANGED,  /* written and closed, renamed to this name, linked, or in a folder that is new */
    FILE_VANISHED, /* removed, or renamed from this name */
    FILE_UNKNOWN,  /* the kernel's queue overflowed: anything may have changed; path is NULL */
};

/* Folders watched at most. */
#define FILE_WATCH_MOST 8192

struct file_watch_ops {
    /* Whether to go into DIR/NAME. */
    bool (*enters)(void *arg, const char *dir, const char *name);
    /* During file_watch_add() and from the event loop. Must not free the watch. */
    void (*happened)(void *arg, enum file_event event, const char *path);
};

/* NULL with errno. */
struct file_watch *file_watch_new(struct event_base *base, const struct file_watch_ops *ops, void *arg);
/* NULL: nothing. */
void file_watch_free(struct file_watch *watch);
/* Watches a folder, or the tree that begins there; absolute. It may be missing, and is looked for
 * again whenever some folder changes. 0, or -1: out of memory. */
int file_watch_add(struct file_watch *watch, const char *dir, bool tree) __attribute__((warn_unused_result));
/* Why not everything is watched that should be, as an errno (ENOSPC: the kernel's limit; E2BIG:
 * FILE_WATCH_MOST); 0: everything is. */
int file_watch_fault(const struct file_watch *watch);
/* Folders that are watched. */
size_t file_watch_count(const struct file_watch *watch);

#endif
