/* SPDX-License-Identifier: BSD-3-Clause */
/* verdicts.h: remembers which applications need the main interpreter: across reloads in memory, across restarts in a small
 * file for each (state_folder.h; without a folder in memory alone). An application is what [app] and the mounts name, in
 * this working folder, with this choice of a Python. What is remembered holds while the files that it was found with are
 * unchanged: the Python and its folders of packages. */
#ifndef TINE_MASTER_FLEET_VERDICTS_H
#define TINE_MASTER_FLEET_VERDICTS_H

#include <sys/queue.h>

struct conf;
struct verdicts_record;

struct verdicts {
    LIST_HEAD(, verdicts_record) all;
};

/* Why this application needs the main interpreter, to be freed; NULL: nothing is remembered, or it does not hold any more. */
char *verdicts_find(const struct verdicts *verdicts, const struct conf *conf) __attribute__((warn_unused_result));
/* `paths`: files and folders, one a line, whose change makes this void. Logged if it cannot be kept over a restart. */
void verdicts_add(struct verdicts *verdicts, const struct conf *conf, const char *why, const char *paths);
void verdicts_done(struct verdicts *verdicts);

#endif
