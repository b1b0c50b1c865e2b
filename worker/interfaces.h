/* SPDX-License-Identifier: BSD-3-Clause */
/* interfaces.h: the only list of interfaces: how an application may be called, and by whom. */
#ifndef TINE_WORKER_INTERFACES_H
#define TINE_WORKER_INTERFACES_H

#include "worker/app/interface.h"

/* Ends with a row without a name. */
extern const struct interface_choice interfaces[];

#endif
