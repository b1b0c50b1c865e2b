/* SPDX-License-Identifier: BSD-3-Clause */
/* apply.c: see apply.h. */
#include "master/system/apply.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "common/log.h"
#include "conf/conf.h"
#include "conf/log_dest.h"
#include "master/master.h"

int apply_log(const struct conf *conf)
{
    if (log_open(conf->log.errorlog, (enum log_level)conf->log.loglevel) == 0)
        return 0;
    log_critical("log.errorlog %s: %s", conf->log.errorlog, strerror(errno));
    return -1;
}

void apply_log_owner(const struct conf *conf, const struct privs *privs)
{
    privs_give_file(privs, conf->log.errorlog);
    if (conf->log.accesslog && log_dest_parse(conf->log.accesslog).kind == LOG_DEST_FILE)
        privs_give_file(privs, conf->log.accesslog);
}

void apply_limits(const struct conf *conf)
{
    const rlim_t others = 256; /* files and sockets of the application, roughly */
    struct rlimit limit;
    rlim_t want = conf->server.worker_connections + others;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
        return;
    if (limit.rlim_max < want)
        log_warning("server.worker_connections = %u needs more descriptors than the limit of %llu "
                    "(ulimit -Hn)",
                    conf->server.worker_connections, (unsigned long long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void apply_title(const struct master *master)
{
    const struct conf *conf = master->conf;
    const char *name = conf->server.proc_name;
    if (name)
        proctitle_set(&master->title, "%s: master", name);
    else
        proctitle_set(&master->title, "tine: master [%s]", conf_app_name(conf));
}
