/* SPDX-License-Identifier: BSD-3-Clause */
/* import_check.h: tine -t --import: one worker, or a mold and one worker, is started as the service would, and ends when it
 * is READY. */
#ifndef TINE_MASTER_IMPORT_CHECK_H
#define TINE_MASTER_IMPORT_CHECK_H

#include "master/service.h"

/* `fleet` has its privileges and title; takes `first`. Listens nowhere, writes no pidfile and no log but standard error,
 * and answers no request. Prints on standard output which interpreter it is. The exit status that a service would have
 * if it failed to start. */
enum service_exit import_check(struct fleet *fleet, struct generation *first);

#endif
