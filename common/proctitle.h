/* SPDX-License-Identifier: BSD-3-Clause */
/* proctitle.h: what ps shows for this process. Writes over the memory of argv and of the
 * environment after it; the environment moves to the heap first. */
#ifndef TINE_COMMON_PROCTITLE_H
#define TINE_COMMON_PROCTITLE_H

#include <stddef.h>

struct proctitle {
    char *area; /* NULL: no room, nothing is shown */
    size_t size;
};

/* Once, early in main(), before anybody keeps a pointer into the environment. argv[0..argc) become
 * copies; the strings that the caller took from it before stay valid only until the first
 * proctitle_set(). */
void proctitle_init(struct proctitle *title, int argc, char **argv);
/* In a program whose main() is not ours: the memory of argv, by what /proc says of this process; what keeps pointers
 * into it sees it change. */
void proctitle_find(struct proctitle *title);
void proctitle_set(const struct proctitle *title, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
