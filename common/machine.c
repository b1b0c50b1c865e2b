/* SPDX-License-Identifier: BSD-3-Clause */
/* machine.c: see machine.h. A group is limited by its own files and by those of every group above it; in a container the
 * groups above are either not there or not named as seen from outside, so each path is tried from its end up to the root of
 * the mount, and what is not there limits nothing. */
#include "common/machine.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PER_CORE 1000u
#define GROUPS_MOST 64 /* lines of /proc/self/cgroup */

/* Where a controller is mounted, and what it is called in /proc/self/cgroup: "" is version 2. */
struct mounted {
    const char *controller, *folder;
};

static const struct mounted cpu_mounts[] = {
    { "", "sys/fs/cgroup" },
    { "", "sys/fs/cgroup/unified" },
    { "cpu", "sys/fs/cgroup/cpu" },
    { "cpu", "sys/fs/cgroup/cpu,cpuacct" },
    { NULL, NULL },
};
static const struct mounted memory_mounts[] = {
    { "", "sys/fs/cgroup" },
    { "", "sys/fs/cgroup/unified" },
    { "memory", "sys/fs/cgroup/memory" },
    { NULL, NULL },
};

/* The limit in a folder of one group; UINT64_MAX: none. */
typedef uint64_t limit_fn(const char *folder);

/* The first line of folder/name. False: there is none. */
static bool read_line(const char *folder, const char *name, char *to, size_t size)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return false;
    FILE *in = fopen(path, "re");
    if (!in)
        return false;
    bool some = fgets(to, (int)size, in) != NULL;
    fclose(in);
    return some;
}

/* A whole number, "-1" and "max" being none. */
static bool take_number(const char **p, uint64_t *ret)
{
    char *end;
    while (**p == ' ')
        ++*p;
    if (**p < '0' || **p > '9')
        return false;
    *ret = strtoull(*p, &end, 10);
    *p = end;
    return true;
}

static bool read_number(const char *folder, const char *name, uint64_t *ret)
{
    char line[64];
    const char *p = line;
    return read_line(folder, name, line, sizeof line) && take_number(&p, ret);
}

static uint64_t share_of(uint64_t quota, uint64_t period)
{
    return period && quota && quota < UINT64_MAX / PER_CORE ? quota * PER_CORE / period : UINT64_MAX;
}

static uint64_t cpu_of(const char *folder)
{
    char line[64];
    const char *p = line;
    uint64_t quota, period;
    if (read_line(folder, "cpu.max", line, sizeof line)) /* "150000 100000", "max 100000" */
        return take_number(&p, &quota) && take_number(&p, &period) ? share_of(quota, period) : UINT64_MAX;
    if (read_number(folder, "cpu.cfs_quota_us", &quota) && read_number(folder, "cpu.cfs_period_us", &period))
        return share_of(quota, period);
    return UINT64_MAX;
}

/* Version 1 says "none" with a number that no machine has. */
static uint64_t memory_of(const char *folder)
{
    uint64_t n;
    if (read_number(folder, "memory.max", &n) || read_number(folder, "memory.limit_in_bytes", &n))
        return n && n < (UINT64_C(1) << 60) ? n : UINT64_MAX;
    return UINT64_MAX;
}

/* The least limit from root/folder/path up to root/folder. */
static uint64_t least_of(const char *root, const char *folder, const char *path, limit_fn *limit)
{
    char whole[PATH_MAX];
    int n = snprintf(whole, sizeof whole, "%s/%s", root, folder), m = 0;
    if (n < (int)sizeof whole)
        m = snprintf(whole + n, sizeof whole - (size_t)n, "%s", strcmp(path, "/") == 0 ? "" : path);
    uint64_t least = UINT64_MAX;
    if (n + m >= (int)sizeof whole)
        return least;
    for (;;) {
        uint64_t its = limit(whole);
        least = its < least ? its : least;
        char *slash = strrchr(whole + n, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* Whether a list such as "cpu,cpuacct" has the word; "" is in "" alone. */
static bool names(const char *list, const char *word)
{
    size_t n = strlen(word);
    if (!n)
        return !*list;
    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || !p[n]))
            return true;
    return false;
}

/* "4:cpu,cpuacct:/path" in two parts. False: it is no such line. */
static bool split(char *line, char **ret_controllers, char **ret_path)
{
    line[strcspn(line, "\n")] = '\0';
    char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;
    if (!second || second[1] != '/' || strstr(second, "/.."))
        return false;
    *second = '\0';
    *ret_controllers = first + 1;
    *ret_path = second + 1;
    return true;
}

static uint64_t least_everywhere(const char *root, const struct mounted *mounts, limit_fn *limit)
{
    char name[PATH_MAX], line[PATH_MAX], *controllers, *path;
    uint64_t least = UINT64_MAX;
    snprintf(name, sizeof name, "%s/proc/self/cgroup", root);
    FILE *in = fopen(name, "re");
    for (int i = 0; in && i < GROUPS_MOST && fgets(line, sizeof line, in); i++) {
        if (!split(line, &controllers, &path))
            continue;
        for (const struct mounted *m = mounts; m->controller; m++) {
            uint64_t its = names(controllers, m->controller) ? least_of(root, m->folder, path, limit) : UINT64_MAX;
            least = its < least ? its : least;
        }
    }
    if (in)
        fclose(in);
    return least;
}

uint64_t machine_cgroup_cpu(const char *root)
{
    return least_everywhere(root, cpu_mounts, cpu_of);
}

uint64_t machine_cgroup_memory(const char *root)
{
    return least_everywhere(root, memory_mounts, memory_of);
}

/* Of any size of the kernel's sets. */
static unsigned affinity(void)
{
    for (size_t n = 1024; n <= 1 << 20; n *= 2) {
        cpu_set_t *set = CPU_ALLOC(n);
        if (!set)
            break;
        size_t bytes = CPU_ALLOC_SIZE(n);
        int rc = sched_getaffinity(0, bytes, set);
        unsigned count = rc == 0 ? (unsigned)CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count)
            return count;
    }
    return 1;
}

unsigned machine_cores(void)
{
    unsigned own = affinity();
    uint64_t limit = machine_cgroup_cpu("");
    uint64_t worth = limit == UINT64_MAX ? own : (limit + PER_CORE - 1) / PER_CORE;
    return worth < 1 ? 1 : worth < own ? (unsigned)worth : own;
}

uint64_t machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t all = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    uint64_t limit = machine_cgroup_memory("");
    uint64_t least = limit < all ? limit : all;
    return least == UINT64_MAX ? 0 : least;
}
