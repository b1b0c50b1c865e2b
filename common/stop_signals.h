/* SPDX-License-Identifier: BSD-3-Clause */
/* stop_signals.h: the signals that a terminal, a shell or a supervisor sends to a whole process group, workers included.
 * There the master decides what follows. A worker is born with them blocked, also through exec(2), and lets them in when it
 * has handlers: it neither dies of them nor starts to stop before the master knows. */
#ifndef TINE_COMMON_STOP_SIGNALS_H
#define TINE_COMMON_STOP_SIGNALS_H

#include <signal.h>
#include <stddef.h>

#define STOP_SIGNALS 4
static const int stop_signals[STOP_SIGNALS] = { SIGTERM, SIGQUIT, SIGINT, SIGHUP };

/* As a set for sigprocmask(2). */
static inline sigset_t stop_signals_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        sigaddset(&set, stop_signals[i]);
    return set;
}

#endif
