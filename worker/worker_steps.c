/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_steps.c: app.blocking_warning: what is made of a step that held the event loop too long. It is counted by its
 * route, whether or not the log had room for its stack. */
#include <Python.h>
#include <string.h>

#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/log/account.h"
#include "worker/python/loop.h"
#include "worker/python/pyerr.h"
#include "worker/python/step_watch.h"
#include "worker/worker.h"

#define NO_REQUEST "no request"

/* `what` is "GET /path". */
static size_t route_of(char to[SCORE_ROUTE], const char *what)
{
    const char *path = strchr(what, ' ');
    if (!path)
        return (size_t)snprintf(to, SCORE_ROUTE, NO_REQUEST);
    return account_route(to, SCORE_ROUTE, (struct span){ what, (size_t)(path - what) }, span_of(path + 1));
}

static void on_late(void *arg, const char *what, uint64_t ns, bool logged)
{
    struct worker *w = arg;
    struct score *score = w->net.score;
    char route[SCORE_ROUTE];
    size_t n = route_of(route, what);
    struct score_route *row = score_route(score, route, n);
    score_add64(&score->blocking_steps, 1);
    score_add64(&row->blocked, 1);
    score_add64(&row->blocked_ns, ns);
    if (logged)
        log_warning("the event loop was held for %.0f ms by %s%s%s", (double)ns / 1e6, *what ? "\"" : "",
                    *what ? what : "a task or callback of the application", *what ? "\"" : "");
}

/* The least of those of the applications: they share the loop. 0: off in all. */
static uint64_t limit_of(const struct conf *conf)
{
    uint64_t least = conf->app.blocking_warning;
    for (size_t i = 0; i < conf->n_mounts; i++) {
        uint64_t its = conf->mounts[i].app.blocking_warning;
        if (its && (!least || its < least))
            least = its;
    }
    return least;
}

struct step_watch *worker_steps_watch(struct worker *w, struct pyloop *loop)
{
    static const struct step_watch_ops ops = { .on_late = on_late };
    uint64_t limit = limit_of(w->conf);
    if (!limit)
        return NULL;
    struct step_watch *watch = step_watch_new(limit, &ops, w);
    if (watch)
        pyloop_watch_steps(loop, watch);
    else
        pyerr_log(LOG_LEVEL_WARNING, "app.blocking_warning stays off");
    return watch;
}

void worker_steps_unwatch(struct step_watch *watch, struct pyloop *loop)
{
    pyloop_watch_steps(loop, NULL);
    step_watch_free(watch);
}
