/* SPDX-License-Identifier: BSD-3-Clause */
/* exit_words.h: how a process ended: for the log, and why it never served. */
#ifndef TINE_MASTER_FLEET_EXIT_WORDS_H
#define TINE_MASTER_FLEET_EXIT_WORDS_H

#include <stdbool.h>

/* A status of waitpid(2) in words: "exited with status 3", "was killed by SIGSEGV (core dumped)". `by_us`: it was we
 * who sent SIGKILL, and nothing has to be guessed. */
#define EXIT_WORDS 96
void exit_words(int status, bool by_us, char to[EXIT_WORDS]);

/* What keeps a worker or a mold from getting READY. */
enum boot_fault {
    BOOT_FAILED,      /* any other end */
    BOOT_NOT_STARTED, /* there is no process: no memory, no descriptors */
    BOOT_CONF,        /* the configuration names what cannot be used */
    BOOT_APP,         /* the application could not be loaded */
};
enum boot_fault boot_fault_of(int status);

#endif
