/* SPDX-License-Identifier: BSD-3-Clause */
/* status_json.h: /status for programs. */
#ifndef TINE_MASTER_STATUS_JSON_H
#define TINE_MASTER_STATUS_JSON_H

#include <stdio.h>

struct history;
struct snapshot;

/* The snapshot's own members, and the figures and the history with them. 0, or -1: out of memory. */
int status_json_write(FILE *out, const struct snapshot *snapshot, const struct history *history)
    __attribute__((warn_unused_result));

#endif
