/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_reports.c: what a worker says of its Python once the application has started, to the master and to the log. */
#include <Python.h>
#include <stdlib.h>

#include "common/heritage.h"
#include "common/ipc.h"
#include "common/log.h"
#include "conf/conf.h"
#include "worker/python/interp.h"
#include "worker/python/loop.h"
#include "worker/python/loops/loop_ops.h"
#include "worker/worker.h"

void worker_report_environment(const struct worker *w, const struct interp *interp)
{
    const struct conf_app *conf = &w->conf->app;
    if (interp->sub || conf->interpreter != CONF_INTERPRETER_AUTO || conf->preload_app)
        return;
    char *paths = interp_environment();
    if (paths && ipc_send(w->heritage->ipc_fd, IPC_ENVIRONMENT, paths, strlen(paths)) < 0)
        log_debug("the master is not told of the environment: %m");
    free(paths);
}

void worker_report_loop(const struct worker *w, const struct interp *interp, const struct pyloop *loop)
{
    char version[64];
    if (!pyloop_host(loop) || w->heritage->slot != 0)
        return;
    pyloop_version(loop, version, sizeof version);
    log_info("event loop: %s%s%s, in %s", conf_loop_name(pyloop_ops(loop)->conf), *version ? " " : "", version,
             interp->sub ? "a sub-interpreter" : "the main interpreter");
}
