/* SPDX-License-Identifier: BSD-3-Clause */
/* notify.c: datagrams to the socket of the service manager. */
#include "master/system/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"

/* WATCHDOG_USEC, if it is meant for this process (sd_watchdog_enabled(3)). */
static uint64_t take_watchdog(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    bool ours = us && (!pid || strtol(pid, NULL, 10) == (long)getpid());
    uint64_t value = ours ? strtoull(us, NULL, 10) : 0;
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return value;
}

void notify_open(struct notify *notify)
{
    *notify = (struct notify){ .fd = -1, .watchdog_us = take_watchdog() };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n && ((path[0] != '/' && path[0] != '@') || n >= sizeof(notify->addr.sun_path))) {
        log_warning("NOTIFY_SOCKET \"%s\" is not the path of a socket", path);
    } else if (n) {
        notify->addr.sun_family = AF_UNIX;
        memcpy(notify->addr.sun_path, path, n);
        notify->addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        if (path[0] == '@')
            notify->addr.sun_path[0] = '\0';
        else
            notify->addr_len++;
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (notify->fd < 0)
            log_warning("NOTIFY_SOCKET: %s", strerror(errno));
    }
    unsetenv("NOTIFY_SOCKET");
}

void notify_close(struct notify *notify)
{
    fd_close(&notify->fd);
}

int notify_hand_over(const struct notify *notify)
{
    char us[24], path[sizeof(notify->addr.sun_path) + 1] = "";
    if (notify->watchdog_us) {
        snprintf(us, sizeof(us), "%llu", (unsigned long long)notify->watchdog_us);
        if (setenv("WATCHDOG_USEC", us, 1) < 0)
            return -1;
    }
    if (notify->fd < 0)
        return 0;
    size_t n = notify->addr_len - offsetof(struct sockaddr_un, sun_path);
    memcpy(path, notify->addr.sun_path, n);
    if (!path[0])
        path[0] = '@';
    return setenv("NOTIFY_SOCKET", path, 1);
}

void notify_send(const struct notify *notify, const char *format, ...)
{
    char text[512];
    va_list ap;
    if (notify->fd < 0 || notify->quiet)
        return;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    if (sendto(notify->fd, text, len, MSG_NOSIGNAL, (const struct sockaddr *)&notify->addr, notify->addr_len) < 0)
        log_debug("notify: %m");
}
