/* SPDX-License-Identifier: BSD-3-Clause */
/* error_log.h: the error log as a configuration has it. */
#ifndef TINE_MASTER_SYSTEM_ERROR_LOG_H
#define TINE_MASTER_SYSTEM_ERROR_LOG_H

#include <stdbool.h>

struct conf_log;

/* Its file and its level. 0, or -1 logged: the log then stays what it was. */
int error_log_open(const struct conf_log *conf) __attribute__((warn_unused_result));
/* Both configurations have the same file and level. */
bool error_log_is_same(const struct conf_log *a, const struct conf_log *b);

#endif
