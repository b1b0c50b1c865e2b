/* SPDX-License-Identifier: BSD-3-Clause */
/* reap.h: children that have ended. */
#ifndef TINE_MASTER_REAP_H
#define TINE_MASTER_REAP_H

struct master;

/* Collects every ended child. Workers are reported to worker_gone(); others (inherited by an exec,
 * or orphans when the master is process 1 of a container) are only collected. */
void reap_children(struct master *master);

/* A status of waitpid(2) in words: "exited with status 3", "killed by SIGSEGV (core dumped)". */
#define REAP_WORDS 96
void reap_words(int status, char to[REAP_WORDS]);

#endif
