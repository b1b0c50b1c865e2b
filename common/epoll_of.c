/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll_of.c: see epoll_of.h. /proc/self/fdinfo/N of an epoll descriptor has a line "tfd: FD events: ... data: ..."
 * for each descriptor that it watches (proc(5)). */
#include "common/epoll_of.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Whether this file of fdinfo is of an epoll descriptor that watches `fd`. */
static bool watches(int dir_fd_number, int fd, uint64_t *ret_data)
{
    char path[64], line[256];
    bool found = false;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", dir_fd_number);
    FILE *in = fopen(path, "re");
    if (!in)
        return false;
    while (!found && fgets(line, sizeof line, in)) {
        int watched;
        uint64_t data;
        // NOLINTNEXTLINE(cert-err34-c): the kernel writes no number out of range
        found = sscanf(line, "tfd: %d events: %*x data: %" SCNx64, &watched, &data) == 2 && watched == fd;
        if (found)
            *ret_data = data;
    }
    fclose(in);
    return found;
}

int epoll_of(int fd, uint64_t *ret_data)
{
    int epoll = -1;
    DIR *dir = opendir("/proc/self/fdinfo");
    if (!dir)
        return -1;
    for (struct dirent *entry; epoll < 0 && (entry = readdir(dir));) {
        int number = isdigit((unsigned char)entry->d_name[0]) ? (int)strtol(entry->d_name, NULL, 10) : -1;
        if (number >= 0 && watches(number, fd, ret_data))
            epoll = number;
    }
    closedir(dir);
    return epoll;
}
