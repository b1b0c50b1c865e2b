/* SPDX-License-Identifier: BSD-3-Clause */
/* descriptors.h: descriptors that a process must not lose, and what is done when one is lost all the same: an application
 * can close any number, and by then the number may be another file's, into which the next answer or line would go. So
 * nothing is saved: one line, and the process ends. */
#ifndef TINE_COMMON_DESCRIPTORS_H
#define TINE_COMMON_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A descriptor and the file that it was of. `what` is text for the log. */
struct descriptor {
    int fd;
    dev_t dev;
    ino_t ino;
    const char *what;
};

/* Notes what d->fd is now. False: it is not open. */
bool descriptor_note(struct descriptor *d);
/* Whether it still is that. */
bool descriptor_is_same(const struct descriptor *d);

#define DESCRIPTORS_MAX 128

/* The ones that are looked at; zeroed: none. */
struct descriptors {
    size_t n;
    struct descriptor v[DESCRIPTORS_MAX];
};

/* Notes it as it is now; `what` stays the caller's. A negative one, and those beyond DESCRIPTORS_MAX, are left out. */
void descriptors_add(struct descriptors *d, int fd, const char *what);
/* Notes all that are open now and are not in `before`, a sorted list of numbers. */
void descriptors_add_new(struct descriptors *d, const int *before, size_t n, const char *what);
/* The numbers that are open now, sorted, at most `most`; returns how many. 0: /proc cannot be read. */
size_t descriptors_open(int *numbers, size_t most);
/* The `what` of one that is closed or another file's; NULL: all are as they were. A few system calls. */
const char *descriptors_lost(const struct descriptors *d);

/* One of the server's descriptors is closed or another file's. Logs it, to standard error where the log itself is gone, and
 * ends the process with WORKER_EXIT_DESCRIPTORS; nothing else is run. Any thread. */
_Noreturn void descriptor_lost(const char *what);

#endif
