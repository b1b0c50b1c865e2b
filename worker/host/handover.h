/* SPDX-License-Identifier: BSD-3-Clause */
/* handover.h: what heritage.h says a fork hands down, for a process that exec has made another program: one descriptor
 * (a memfd) that holds it, and the descriptors that it names, which stay open through exec. Nothing of it is in argv or in
 * the environment. Written by the master's child (become.c), read in the application's Python (hosted.c), both of the same
 * version of Tine. */
#ifndef TINE_HOST_HANDOVER_H
#define TINE_HOST_HANDOVER_H

#include "common/heritage.h"

enum handover_kind { HANDOVER_WORKER, HANDOVER_MOLD };

struct handover {
    enum handover_kind kind;
    struct heritage heritage; /* what it points to lives as long as the process */
};

#define HANDOVER_WHY 200

/* Packs it, with this process's log, and lets all descriptors through exec. The descriptor to hand over, or -1 with errno. */
int handover_pack(const struct heritage *heritage, enum handover_kind kind) __attribute__((warn_unused_result));
/* Takes it all over: closes fd, maps what is shared, makes every descriptor close-on-exec again, and opens the log. 0, or
 * -1 with a reason in `why`. */
int handover_take(int fd, struct handover *ret, char why[HANDOVER_WHY]) __attribute__((warn_unused_result));

#endif
