/* SPDX-License-Identifier: BSD-3-Clause */
/* busy.c: finds the inode of a listening socket in /proc/net, then the process that has it open in /proc/PID/fd. Reads
 * only, and for messages only: nothing may depend on what it finds. */
#include "master/listen/busy.h"

#include <ctype.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENING 0x0a /* TCP_LISTEN of the kernel's tcp_states.h */

/* --- the inode --- */
// NOLINTBEGIN(cert-err34-c): the kernel writes no number out of range

/* Whether a socket bound to `theirs` keeps others from `ours`: the same address, or one of the two stands for all. */
static bool stands_in_the_way(const unsigned char *ours, const unsigned char *theirs, size_t n)
{
    static const unsigned char all[16];
    return memcmp(ours, theirs, n) == 0 || memcmp(ours, all, n) == 0 || memcmp(theirs, all, n) == 0;
}

/* "0100007F:1F90" of /proc/net/tcp: 32-bit words in the machine's order. */
static bool parse_address(const char *text, unsigned char *to, size_t n, unsigned *ret_port)
{
    for (size_t i = 0; i < n; i += 4) {
        unsigned word;
        if (sscanf(text + 2 * i, "%8x", &word) != 1)
            return false;
        memcpy(to + i, &word, 4);
    }
    return sscanf(text + 2 * n, ":%x", ret_port) == 1;
}

/* 0: none. */
static unsigned long tcp_inode(const char *table, const unsigned char *address, size_t n, unsigned port)
{
    FILE *in = fopen(table, "re");
    char line[512], local[64];
    unsigned long inode, found = 0;
    unsigned state, their_port = 0;
    unsigned char theirs[16];
    while (in && !found && fgets(line, sizeof(line), in))
        if (sscanf(line, " %*u: %63s %*s %x %*s %*s %*s %*u %*u %lu", local, &state, &inode) == 3 &&
            state == LISTENING && parse_address(local, theirs, n, &their_port) && their_port == port &&
            stands_in_the_way(address, theirs, n))
            found = inode;
    if (in)
        fclose(in);
    return found;
}

static unsigned long unix_inode(const char *path)
{
    FILE *in = fopen("/proc/net/unix", "re");
    char line[512], name[256];
    unsigned long inode, found = 0;
    while (in && !found && fgets(line, sizeof(line), in))
        if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %255s", &inode, name) == 2 && strcmp(name, path) == 0)
            found = inode;
    if (in)
        fclose(in);
    return found;
}

// NOLINTEND(cert-err34-c)

static unsigned long inode_of(const struct sockaddr *addr)
{
    static const unsigned char all[16];
    if (addr->sa_family == AF_UNIX)
        return unix_inode(((const struct sockaddr_un *)addr)->sun_path);
    if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)addr;
        return tcp_inode("/proc/net/tcp6", in6->sin6_addr.s6_addr, 16, ntohs(in6->sin6_port));
    }
    const struct sockaddr_in *in = (const void *)addr;
    unsigned long found = tcp_inode("/proc/net/tcp", (const void *)&in->sin_addr, 4, ntohs(in->sin_port));
    /* [::] without IPV6_V6ONLY has the port of every IPv4 address too. */
    return found ? found : tcp_inode("/proc/net/tcp6", all, 16, ntohs(in->sin_port));
}

/* --- the process --- */

static bool has_open(const char *pid, const char *wanted)
{
    char path[64], link[64];
    snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
    DIR *fds = opendir(path);
    bool found = false;
    for (struct dirent *entry; fds && !found && (entry = readdir(fds));) {
        ssize_t n = readlinkat(dirfd(fds), entry->d_name, link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = '\0';
        found = strcmp(link, wanted) == 0;
    }
    if (fds)
        closedir(fds);
    return found;
}

/* The name may be anything: made printable. */
static char *describe(const char *pid)
{
    char path[64], name[64] = "", *text;
    snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
    FILE *in = fopen(path, "re");
    if (in && !fgets(name, sizeof(name), in))
        name[0] = '\0';
    if (in)
        fclose(in);
    name[strcspn(name, "\n")] = '\0';
    for (char *p = name; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
    return asprintf(&text, "%s (pid %s)", *name ? name : "a process", pid) < 0 ? NULL : text;
}

char *busy_holder(const struct sockaddr *addr)
{
    unsigned long inode = inode_of(addr);
    char wanted[64], *found = NULL;
    DIR *processes = inode ? opendir("/proc") : NULL;
    snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    for (struct dirent *entry; processes && !found && (entry = readdir(processes));)
        if (isdigit((unsigned char)entry->d_name[0]) && has_open(entry->d_name, wanted))
            found = describe(entry->d_name);
    if (processes)
        closedir(processes);
    return found;
}
