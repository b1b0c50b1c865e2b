/* SPDX-License-Identifier: BSD-3-Clause */
/* dev_reload.h: server.reload, for development: watches the application's files and reports when one has changed. */
#ifndef TINE_MASTER_DEV_RELOAD_H
#define TINE_MASTER_DEV_RELOAD_H

#include <stdbool.h>

struct dev_reload;
struct service;

/* `changed` is called from the event loop, once for all that is saved together. `service` stays. NULL: logged. */
struct dev_reload *dev_reload_new(const struct service *service, void (*changed)(void *arg), void *arg);
/* NULL: nothing. */
void dev_reload_free(struct dev_reload *dev);
/* Python believes a module's compiled file if the source has the second and the size that it had then. True: some file
 * that was there at the start is so new that it may change again within its second; then workers must not write
 * compiled files. */
bool dev_reload_is_fresh(const struct dev_reload *dev);

#endif
