/* SPDX-License-Identifier: BSD-3-Clause */
/* exit_words.c: what a status of waitpid(2) says. */
#include "master/fleet/exit_words.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/heritage.h"

void exit_words(int status, bool by_us, char to[EXIT_WORDS])
{
    if (WIFEXITED(status)) {
        int code = WEXITSTATUS(status);
        snprintf(to, EXIT_WORDS, "exited with status %d%s", code,
                 code == WORKER_EXIT_DESCRIPTORS ? " (the application closed descriptors of the server)" : "");
        return;
    }
    int signo = WTERMSIG(status);
    const char *name = sigabbrev_np(signo);
    const char *more = WCOREDUMP(status)            ? " (core dumped)"
                       : signo == SIGKILL && !by_us ? ", by an operator or perhaps for lack of memory"
                                                    : "";
    if (name)
        snprintf(to, EXIT_WORDS, "was killed by SIG%s%s", name, more);
    else
        snprintf(to, EXIT_WORDS, "was killed by signal %d%s", signo, more);
}

enum boot_fault boot_fault_of(int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return code == WORKER_EXIT_APP ? BOOT_APP : code == WORKER_EXIT_CONF ? BOOT_CONF : BOOT_FAILED;
}
