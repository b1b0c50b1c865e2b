/* SPDX-License-Identifier: BSD-3-Clause */
/* apply.h: what a configuration changes in the master itself. */
#ifndef TINE_MASTER_APPLY_H
#define TINE_MASTER_APPLY_H

struct conf;
struct master;
struct privs;

/* The error log: its file and its level. 0, or -1 logged; the log then stays what it was. */
int apply_log(const struct conf *conf) __attribute__((warn_unused_result));
/* Both logs belong to whom the workers run as. */
void apply_log_owner(const struct conf *conf, const struct privs *privs);
/* Connections need descriptors, and the soft limit is 1024 on most systems. */
void apply_limits(const struct conf *conf);
/* What ps shows. */
void apply_title(const struct master *master);

#endif
