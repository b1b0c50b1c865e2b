/* SPDX-License-Identifier: BSD-3-Clause */
/* snapshot.c: see snapshot.h. A bare clone(2): fork(3) would run handlers and take locks. The end of a child that is made
 * without a signal for it is waited for with __WALL alone, so the application's own waiting and SIGCHLD are not disturbed.
 * Its table of descriptors is the parent's: nothing that is closed meanwhile is kept open. */
#include "worker/python/snapshot.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t copy_process(void)
{
#ifdef __s390__
    return (pid_t)syscall(SYS_clone, 0, CLONE_FILES, 0, 0, 0);
#else
    return (pid_t)syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
#endif
}

/* Its faults are neither the application's to report nor a sanitizer's, and nothing stays blocked of what ends it. */
static void be_copy(void (*f)(int), int arg, unsigned seconds)
{
    static const int ends[] = { SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGPIPE };
    struct sigaction by_default = { .sa_handler = SIG_DFL };
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigaction(ends[i], &by_default, NULL);
    alarm(seconds);
    sigfillset(&none);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigdelset(&none, ends[i]);
    sigprocmask(SIG_SETMASK, &none, NULL);
    f(arg);
    syscall(SYS_exit_group, 0); /* _exit() is wrapped where coverage is measured */
}

int snapshot_call(void (*f)(int), int arg, unsigned seconds)
{
    int status;
    pid_t pid = copy_process();
    if (pid < 0)
        return -1;
    if (pid == 0)
        be_copy(f, arg, seconds);
    while (waitpid(pid, &status, __WALL) < 0)
        if (errno != EINTR)
            return -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
