/* SPDX-License-Identifier: BSD-3-Clause */
/* descriptors.c: ends the process when a descriptor that it must not lose has become another file. Must never close or
 * write to what it looks at. */
#include "common/descriptors.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/heritage.h"
#include "common/log.h"

#define OPEN_MAX 2048

bool descriptor_note(struct descriptor *d)
{
    struct stat st;
    if (fstat(d->fd, &st) < 0)
        return false;
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    return true;
}

bool descriptor_is_same(const struct descriptor *d)
{
    struct descriptor now = *d;
    return descriptor_note(&now) && now.dev == d->dev && now.ino == d->ino;
}

void descriptors_add(struct descriptors *d, int fd, const char *what)
{
    struct descriptor one = { .fd = fd, .what = what };
    if (fd >= 0 && d->n < DESCRIPTORS_MAX && descriptor_note(&one))
        d->v[d->n++] = one;
}

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

size_t descriptors_open(int *numbers, size_t most)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    for (struct dirent *entry; n < most && (entry = readdir(dir));) {
        int fd = isdigit((unsigned char)entry->d_name[0]) ? (int)strtol(entry->d_name, NULL, 10) : -1;
        if (fd >= 0 && fd != dirfd(dir))
            numbers[n++] = fd;
    }
    closedir(dir);
    qsort(numbers, n, sizeof(*numbers), compare);
    return n;
}

void descriptors_add_new(struct descriptors *d, const int *before, size_t n, const char *what)
{
    int now[OPEN_MAX];
    size_t n_now = descriptors_open(now, OPEN_MAX);
    for (size_t i = 0; n && i < n_now; i++)
        if (!bsearch(&now[i], before, n, sizeof(*before), compare))
            descriptors_add(d, now[i], what);
}

const char *descriptors_lost(const struct descriptors *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (!descriptor_is_same(&d->v[i]))
            return d->v[i].what;
    return NULL;
}

void descriptor_lost(const char *what)
{
    char line[240];
    int n = snprintf(line, sizeof(line),
                     "the application has closed a descriptor of the server (%s): this process ends at once", what);
    if (log_is_whole())
        log_critical("%s", line);
    else if (n > 0)
        dprintf(STDERR_FILENO, "[%d] [CRITICAL] %s\n", (int)getpid(), line);
    _exit(WORKER_EXIT_DESCRIPTORS);
}
