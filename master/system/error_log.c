/* SPDX-License-Identifier: BSD-3-Clause */
/* error_log.c: from log.errorlog and log.loglevel to common/log. */
#include "master/system/error_log.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "conf/conf.h"

int error_log_open(const struct conf_log *conf)
{
    if (log_open(conf->errorlog, (enum log_level)conf->loglevel, conf->error_log_format == CONF_ERROR_LOG_JSON) == 0)
        return 0;
    log_critical("log.errorlog %s: %s", conf->errorlog, strerror(errno));
    return -1;
}

bool error_log_is_same(const struct conf_log *a, const struct conf_log *b)
{
    return a->loglevel == b->loglevel && a->error_log_format == b->error_log_format &&
           strcmp(a->errorlog, b->errorlog) == 0;
}
