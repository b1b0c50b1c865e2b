/* SPDX-License-Identifier: BSD-3-Clause */
/* reap.c: see reap.h. */
#include "master/fleet/reap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/log.h"
#include "master/master.h"
#include "master/fleet/mold.h"
#include "master/fleet/slots.h"
#include "master/fleet/workers.h"

void reap_children(struct master *master)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return;
        struct slot *slot = slots_find(&master->slots, pid);
        if (!slot) {
            molds_listen(master);
            slot = slots_find(&master->slots, pid);
        }
        if (slot)
            worker_gone(slot, status);
        else if (!molds_reap(master, pid, status) && !upgrade_child_gone(master, pid, status))
            log_debug("process %d, not a worker, ended", (int)pid);
    }
}

void reap_words(int status, char to[REAP_WORDS])
{
    if (WIFEXITED(status)) {
        snprintf(to, REAP_WORDS, "exited with status %d", WEXITSTATUS(status));
        return;
    }
    int signo = WTERMSIG(status);
    const char *name = sigabbrev_np(signo);
    const char *more = WCOREDUMP(status)  ? " (core dumped)"
                       : signo == SIGKILL ? ", by an operator or perhaps for lack of memory"
                                          : "";
    if (name)
        snprintf(to, REAP_WORDS, "was killed by SIG%s%s", name, more);
    else
        snprintf(to, REAP_WORDS, "was killed by signal %d%s", signo, more);
}
