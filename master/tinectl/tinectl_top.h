/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_top.h: the live view. */
#ifndef TINE_MASTER_TINECTL_TOP_H
#define TINE_MASTER_TINECTL_TOP_H

#include "master/tinectl/tinectl_show.h"

/* Draws each second until q, Ctrl-C, or the end of the server; without a terminal a single time,
 * after a second. 0, or -1: the server does not answer (told on standard error). */
int top_run(const struct show *show, int fd);

#endif
