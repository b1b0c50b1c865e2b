/* SPDX-License-Identifier: BSD-3-Clause */
/* upgrade_exec.c: the child sets up what the program needs and becomes it; when that fails it says why and ends, which the
 * old master sees. It must never touch the master's event base. */
#include "master/upgrade_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "master/fleet/spawn.h"
#include "master/listen/listen.h"
#include "master/service.h"
#include "master/system/notify.h"
#include "master/upgrade.h"

/* "DIR/NAME" if it can be executed; absolute, malloc'ed. */
static char *try_program(const char *dir, size_t n_dir, const char *name)
{
    char path[PATH_MAX], here[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%.*s%s%s", (int)n_dir, dir, n_dir ? "/" : "", name);
    if (n < 0 || n >= (int)sizeof(path) || access(path, X_OK) < 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    if (path[0] == '/')
        return strdup(path);
    char *absolute = NULL;
    if (!getcwd(here, sizeof(here)) || asprintf(&absolute, "%s/%s", here, path) < 0)
        return NULL;
    return absolute;
}

/* Links on the way are kept as they are: a package or an operator that switches versions moves the
 * link. */
char *upgrade_find_program(const char *argv0)
{
    if (strchr(argv0, '/'))
        return try_program("", 0, argv0);
    const char *path = getenv("PATH");
    for (const char *dir = path ? path : "/usr/local/bin:/usr/bin:/bin"; dir;) {
        size_t n = strcspn(dir, ":");
        char *found = try_program(n ? dir : ".", n ? n : 1, argv0);
        if (found)
            return found;
        dir = dir[n] ? dir + n + 1 : NULL;
    }
    return NULL;
}

/* In the child. */
static int set_environment(const struct upgrade *upgrade, const char *sockets, int channel)
{
    char from[32];
    snprintf(from, sizeof(from), "%d:%d", (int)getppid(), channel);
    return setenv(UPGRADE_ENV_SOCKETS, sockets, 1) == 0 && setenv(UPGRADE_ENV_FROM, from, 1) == 0 &&
                   notify_hand_over(upgrade->notify) == 0
               ? 0
               : -1;
}

static _Noreturn void be_new_binary(const struct upgrade *upgrade, const char *sockets, int channel)
{
    const struct listeners *listeners = &upgrade->service->fleet.current->listeners;
    const char *what = NULL;
    if (set_environment(upgrade, sockets, channel) < 0)
        what = "environment";
    else if (fcntl(channel, F_SETFD, 0) < 0 || listeners_keep_open(listeners) < 0)
        what = "descriptors";
    else if (upgrade->start_dir && chdir(upgrade->start_dir) < 0)
        what = upgrade->start_dir;
    if (!what) {
        sigset_t none;
        sigemptyset(&none);
        spawn_default_signals(&none);
        execv(upgrade->program, upgrade->argv);
        what = upgrade->program;
    }
    log_error("upgrade: %s: %s", what, strerror(errno));
    _exit(SERVICE_EXIT_SYSTEM);
}

pid_t upgrade_exec(const struct upgrade *upgrade, int channel)
{
    sigset_t all, before;
    char *sockets = listeners_hand_over(&upgrade->service->fleet.current->listeners);
    if (!sockets) {
        log_error("upgrade: out of memory");
        return -1;
    }
    /* Signals wait while we are two: in the child our handlers would write into our event base. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        be_new_binary(upgrade, sockets, channel);
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(sockets);
    if (pid < 0)
        log_error("upgrade: fork: %s", strerror(saved));
    return pid;
}
