/* SPDX-License-Identifier: BSD-3-Clause */
/* notify_main.c: the herald, a child that names us as the main process. */
#include "master/system/notify_main.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "master/system/notify.h"

/* Keeps all signals blocked: SIGKILL and the end of the pipe are its ends. */
static _Noreturn void be_herald(const struct notify *notify, int fd, pid_t master)
{
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(fd, &byte, 1) == 1) {
        notify_send(notify, "MAINPID=%d", (int)master);
        /* systemd looks at who has sent it: not to be gone by then. */
        if (read(fd, &byte, 1) < 0)
            _exit(1);
    }
    _exit(0);
}

int notify_main_again(const struct notify *notify)
{
    int fds[2];
    sigset_t all, before;
    pid_t master = getpid();
    if (notify->fd < 0)
        return -1;
    if (pipe2(fds, O_CLOEXEC) < 0) {
        log_warning("notify: pipe: %s", strerror(errno));
        return -1;
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        fd_close(&fds[1]);
        be_herald(notify, fds[0], master);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    fd_close(&fds[0]);
    if (pid < 0) {
        log_warning("notify: fork: %s", strerror(errno));
        fd_close(&fds[1]);
        return -1;
    }
    notify_send(notify, "MAINPID=%d", (int)pid);
    if (write(fds[1], "", 1) < 0)
        log_debug("notify: the herald is gone");
    return fds[1];
}
