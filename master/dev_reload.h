/* SPDX-License-Identifier: BSD-3-Clause */
/* dev_reload.h: server.reload, for development: watches the application's files and reloads when one
 * changes. */
#ifndef TINE_MASTER_DEV_RELOAD_H
#define TINE_MASTER_DEV_RELOAD_H

#include <stdbool.h>

struct dev_reload; /* NULL: server.reload is false */
struct generation;
struct master;

/* Does nothing unless the configuration says server.reload. 0, or -1 logged. */
int dev_reload_start(struct master *master) __attribute__((warn_unused_result));
void dev_reload_stop(struct master *master);
/* The service could not start: true if it stays, without workers, until a file changes. */
bool dev_reload_waits(struct master *master);
/* Python believes a module's compiled file if the source has the second and the size that it had then.
 * Code that is a second old may change again within it: its workers write no compiled files. */
bool dev_reload_is_fresh(const struct master *master, const struct generation *generation);

#endif
