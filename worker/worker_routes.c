/* SPDX-License-Identifier: BSD-3-Clause */
/* worker_routes.c: who answers which request: static files, mounted applications, that of [app], with the admission in
 * front of the applications. Made before the first request, and constant from then on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/admission.h"
#include "worker/http/builtin.h"
#include "worker/http/front.h"
#include "worker/http/req.h"
#include "worker/http/route.h"
#include "worker/static/static_files.h"
#include "worker/worker.h"

static int no_memory(struct worker_failure *ret)
{
    return worker_failed(ret, WORKER_EXIT_BOOT, "out of memory");
}

/* What is answered without an application. 0, or -1 and *ret says why. */
static int add_statics(struct worker *w, struct worker_failure *ret)
{
    for (size_t i = 0; i < w->conf->n_statics; i++) {
        const struct conf_static *conf = &w->conf->statics[i];
        struct handler *h = static_files_new(conf, w->folder);
        if (!h) {
            char why[512];
            snprintf(why, sizeof why, "[static:%s] dir = %s: %s", conf->prefix, conf->files.dir, strerror(errno));
            return worker_failed(ret, WORKER_EXIT_BOOT, why);
        }
        if (router_add(w->router, conf->prefix, h, static_files_free, REQ_NO_MOUNT) < 0) {
            static_files_free(h);
            return no_memory(ret);
        }
    }
    return 0;
}

/* Who answers for an application, the limits on requests in front. NULL: out of memory. */
static struct handler *application(struct worker *w, const struct conf_app *app)
{
    if (!app->module)
        return builtin_not_found();
    struct handler *h = !strcmp(app->module, CONF_BUILTIN_HELLO) ? builtin_hello() : worker_app_handler(w->app, app);
    return w->admission ? admission_gate(w->admission, h) : h;
}

static int add_mounts(struct worker *w, struct worker_failure *ret)
{
    if (w->conf->n_mounts)
        score_name_mount(w->net.score, 0, "/");
    for (size_t i = 0; i < w->conf->n_mounts; i++) {
        const struct conf_mount *mount = &w->conf->mounts[i];
        score_name_mount(w->net.score, (unsigned)i + 1, mount->prefix);
        struct handler *h = application(w, &mount->app);
        if (!h ||
            router_add(w->router, mount->prefix, h, NULL, (uint8_t)(i < REQ_NO_MOUNT - 1 ? i + 1 : REQ_NO_MOUNT)) < 0)
            return no_memory(ret);
    }
    return 0;
}

/* 0, or -1 and *ret says why. */
static int add_routes(struct worker *w, struct worker_failure *ret)
{
    if (!(w->router = router_new()))
        return no_memory(ret);
    if (add_statics(w, ret) < 0 || add_mounts(w, ret) < 0)
        return -1;
    w->site.handler = router_handler(w->router, w->site.handler, builtin_not_found());
    return 0;
}

int worker_routes_new(struct worker *w, struct worker_failure *ret)
{
    const struct conf *conf = w->conf;
    if (admission_is_needed(&conf->http) && !(w->admission = admission_new(w->base, &conf->http, w->net.score)))
        return no_memory(ret);
    if (!(w->site.handler = application(w, &conf->app)))
        return no_memory(ret);
    if ((conf->n_statics || conf->n_mounts) && add_routes(w, ret) < 0)
        return -1;
    if (!front_is_needed(conf))
        return 0;
    if (!(w->front = front_new(conf, w->net.limits, w->site.handler)))
        return no_memory(ret);
    w->site.handler = front_handler(w->front);
    return 0;
}

void worker_routes_free(struct worker *w)
{
    front_free(w->front);
    admission_free(w->admission);
    router_free(w->router);
}
