/* spawn.h: the birth of a worker. */
#ifndef TINE_MASTER_SPAWN_H
#define TINE_MASTER_SPAWN_H

struct master;
struct slot;

/* Forks a worker of the slot's generation into an EMPTY slot: STARTING, boot_timeout running. 0, or -1 logged: the slot
 * stays EMPTY. Does not return in the child. */
int spawn_worker(struct master *master, struct slot *slot) __attribute__((warn_unused_result));
/* In a child: signals as a fresh program has them; SIGPIPE stays ignored, as every write reports EPIPE. */
void spawn_default_signals(void);

#endif
