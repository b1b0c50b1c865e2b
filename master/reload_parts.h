/* SPDX-License-Identifier: BSD-3-Clause */
/* reload_parts.h: the parts of the master that take part in a reload (reload_part.h), in their order. */
#ifndef TINE_MASTER_RELOAD_PARTS_H
#define TINE_MASTER_RELOAD_PARTS_H

#include "master/reload_part.h"

struct master;

/* For a struct master as argument; the last one has no name. */
extern const struct reload_part reload_parts[];

/* What the configuration that serves changes in the master process itself: the limit of descriptors, whom the logs belong
 * to, and what ps shows. For the start. */
void reload_parts_adopt(struct master *master);

#endif
