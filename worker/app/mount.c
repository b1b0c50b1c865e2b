/* SPDX-License-Identifier: BSD-3-Clause */
/* mount.c: see mount.h. Each step of startup and shutdown begins in its own turn of the loop: what ends one is a call from
 * inside that application, where the next one must not run. */
#include "worker/app/mount.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/timers.h"
#include "conf/conf.h"
#include "worker/app/app_load.h"
#include "worker/app/tasks_text.h"
#include "worker/python/loop.h"
#include "worker/python/task.h"

/* For the shutdown of those that had started when another one failed. */
#define UNDO_MS 1300L
#define LABEL_ROOM 160

struct mount {
    struct app_env env;
    PyObject *object; /* the application, until it is opened */
    const struct interface_ops *interface;
    struct handler *handler;
};

enum mounts_stage {
    MOUNTS_LOADED,
    MOUNTS_STARTING, /* v[at] has been asked to start, or will be in the next turn */
    MOUNTS_STARTED,
    MOUNTS_UNDOING, /* one has failed: v[at] stops, or will in the next turn */
    MOUNTS_STOPPING, /* the same because it was asked for */
    MOUNTS_STOPPED,
};

struct mounts {
    enum mounts_stage stage;
    size_t at;
    bool asked; /* v[at] has been asked to start or stop */
    struct event next, deadline;
    void (*on_started)(void *arg, enum interface_start result, const char *why);
    void (*on_stopped)(void *arg);
    void *start_arg, *stop_arg;
    enum interface_start failure;
    char *why;
    size_t n;
    struct mount v[];
};

bool mount_is_python(const struct conf_app *app)
{
    return app->module && strcmp(app->module, CONF_BUILTIN_HELLO) != 0;
}

static size_t count_python(const struct conf *conf)
{
    size_t n = mount_is_python(&conf->app);
    for (size_t i = 0; i < conf->n_mounts; i++)
        n += mount_is_python(&conf->mounts[i].app);
    return n;
}

bool mounts_any_python(const struct conf *conf)
{
    return count_python(conf) > 0;
}

const char *mounts_label(const struct conf *conf, const struct conf_app *app, char *room, size_t n)
{
    room[0] = '\0';
    for (size_t i = 0; i < conf->n_mounts; i++)
        if (app == &conf->mounts[i].app)
            snprintf(room, n, "[mount:%s] ", conf->mounts[i].prefix);
    if (conf->n_mounts && app == &conf->app)
        snprintf(room, n, "[app] ");
    return room;
}

/* --- loading --- */

/* 0, or -1 with an exception set. */
static int import_one(struct mount *mount, const struct interface_choice *interfaces, const struct conf_app *app,
                      const char *prefix)
{
    mount->env.app = app;
    mount->env.prefix = prefix;
    mount->object = app_load(interfaces, app, &mount->interface);
    return mount->object ? 0 : -1;
}

static int open_one(struct mount *mount, const struct app_env *env)
{
    const struct conf_app *app = mount->env.app;
    const char *prefix = mount->env.prefix;
    mount->env = *env;
    mount->env.app = app;
    mount->env.prefix = prefix;
    /* made now: requests see what the modules set in the context */
    if ((mount->env.tasks = pytasks_new(env->loop)))
        mount->handler = mount->interface->open(&mount->env, mount->object);
    Py_CLEAR(mount->object);
    return mount->handler ? 0 : -1;
}

static void on_next(evutil_socket_t fd, short what, void *arg);
static void on_deadline(evutil_socket_t fd, short what, void *arg);

static struct mounts *mounts_new(const struct conf *conf)
{
    struct mounts *m = calloc(1, sizeof *m + count_python(conf) * sizeof m->v[0]);
    if (!m)
        PyErr_NoMemory();
    return m;
}

static int import_all(struct mounts *m, const struct interface_choice *interfaces, const struct conf *conf,
                      const struct conf_app **ret_failed)
{
    for (size_t i = 0; i <= conf->n_mounts; i++) {
        const struct conf_app *app = i ? &conf->mounts[i - 1].app : &conf->app;
        if (!mount_is_python(app))
            continue;
        struct mount *mount = &m->v[m->n++];
        *ret_failed = app;
        if (import_one(mount, interfaces, app, i ? conf->mounts[i - 1].prefix : "") < 0)
            return -1;
    }
    return 0;
}

static void assign_events(struct mounts *m, struct event_base *base)
{
    evtimer_assign(&m->next, base, on_next, m);
    evtimer_assign(&m->deadline, base, on_deadline, m);
}

struct mounts *mounts_import(const struct interface_choice *interfaces, const struct conf *conf,
                             const struct conf_app **ret_failed)
{
    *ret_failed = NULL;
    struct mounts *m = mounts_new(conf);
    if (m && import_all(m, interfaces, conf, ret_failed) == 0)
        return m;
    free(m); /* the process ends now: nothing else is given back */
    return NULL;
}

int mounts_open(struct mounts *m, const struct app_env *env, const struct conf_app **ret_failed)
{
    assign_events(m, env->base);
    for (size_t i = 0; i < m->n; i++) {
        *ret_failed = m->v[i].env.app;
        if (open_one(&m->v[i], env) < 0)
            return -1;
    }
    return 0;
}

void mounts_close(struct mounts *m)
{
    m->stage = MOUNTS_STOPPED; /* a lifespan that ends now reports to no one */
    evtimer_del(&m->next);
    evtimer_del(&m->deadline);
    for (size_t i = 0; i < m->n; i++)
        pytasks_close(m->v[i].env.tasks);
}

void mounts_free(struct mounts *m)
{
    for (size_t i = 0; i < m->n; i++)
        pytasks_free(m->v[i].env.tasks);
    free(m->why);
    free(m);
}

struct handler *mounts_handler(const struct mounts *m, const struct conf_app *app)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].env.app == app)
            return m->v[i].handler;
    return NULL;
}

/* --- steps --- */

static void set_stage(struct mounts *m, enum mounts_stage to)
{
    if (to <= m->stage) {
        log_critical("applications in stage %d cannot go to %d", (int)m->stage, (int)to);
        abort();
    }
    m->stage = to;
}

static void step_next_turn(struct mounts *m)
{
    m->asked = false;
    event_active(&m->next, EV_TIMEOUT, 1);
}

static void undone(struct mounts *m)
{
    evtimer_del(&m->deadline);
    set_stage(m, MOUNTS_STOPPED);
    m->on_started(m->start_arg, m->failure, m->why);
}

static void stopped(struct mounts *m)
{
    set_stage(m, MOUNTS_STOPPED);
    m->on_stopped(m->stop_arg);
}

/* v[at] has stopped. */
static void stop_before(struct mounts *m)
{
    if (m->at) {
        m->at--;
        step_next_turn(m);
    } else if (m->stage == MOUNTS_UNDOING) {
        undone(m);
    } else {
        stopped(m);
    }
}

static void on_one_stopped(void *arg)
{
    struct mounts *m = arg;
    if (m->stage == MOUNTS_UNDOING || m->stage == MOUNTS_STOPPING)
        stop_before(m);
}

/* v[at] has failed: those before it stop. */
static void undo(struct mounts *m, enum interface_start result, const char *why)
{
    struct timeval limit = timeval_of_ms(UNDO_MS);
    const struct app_env *env = &m->v[m->at].env;
    char label[LABEL_ROOM];
    m->failure = result;
    if (asprintf(&m->why, "%s%s", mounts_label(env->conf, env->app, label, sizeof label), why) < 0)
        m->why = NULL;
    set_stage(m, MOUNTS_UNDOING);
    timer_add(&m->deadline, &limit);
    stop_before(m);
}

static void on_one_started(void *arg, enum interface_start result, const char *why)
{
    struct mounts *m = arg;
    if (m->stage != MOUNTS_STARTING) /* asked to stop meanwhile */
        return;
    if (result != INTERFACE_STARTED) {
        undo(m, result, why ? why : "start-up failed");
    } else if (m->at + 1 < m->n) {
        m->at++;
        step_next_turn(m);
    } else {
        set_stage(m, MOUNTS_STARTED);
        m->on_started(m->start_arg, INTERFACE_STARTED, NULL);
    }
}

static void start_or_stop_one(struct mounts *m)
{
    struct mount *mount = &m->v[m->at];
    m->asked = true;
    if (m->stage == MOUNTS_STARTING)
        mount->interface->start(mount->handler, on_one_started, m);
    else
        mount->interface->stop(mount->handler, on_one_stopped, m);
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
    struct mounts *m = arg;
    if (m->asked || m->stage == MOUNTS_STOPPED)
        return;
    pyloop_enter(m->v[m->at].env.loop);
    start_or_stop_one(m);
}

/* Its shutdown hangs, and the failure has to be reported. */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct mounts *m = arg;
    if (m->stage == MOUNTS_UNDOING)
        undone(m);
}

/* --- life --- */

void mounts_start(struct mounts *m, void (*done)(void *arg, enum interface_start result, const char *why), void *arg)
{
    m->on_started = done;
    m->start_arg = arg;
    set_stage(m, MOUNTS_STARTING);
    start_or_stop_one(m);
}

void mounts_stop(struct mounts *m, void (*done)(void *arg), void *arg)
{
    bool begun = m->stage == MOUNTS_STARTED || m->asked;
    m->on_stopped = done;
    m->stop_arg = arg;
    switch (m->stage) {
    case MOUNTS_LOADED:
    case MOUNTS_STOPPED:
        done(arg);
        return;
    case MOUNTS_UNDOING: /* one of them may be stopping already */
        evtimer_del(&m->deadline);
        set_stage(m, MOUNTS_STOPPING);
        return;
    default:
        set_stage(m, MOUNTS_STOPPING);
        if (begun)
            start_or_stop_one(m);
        else
            stop_before(m);
    }
}

unsigned mounts_running(const struct mounts *m)
{
    unsigned n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += m->v[i].interface->running(m->v[i].handler);
    return n;
}

void mounts_count_threads(struct mounts *m, struct interface_threads *ret)
{
    *ret = (struct interface_threads){ .room = m->n ? ROOM_LOST : ROOM_FREE };
    for (size_t i = 0; i < m->n; i++) {
        struct interface_threads one = { .room = ROOM_FREE };
        if (m->v[i].interface->count_threads)
            m->v[i].interface->count_threads(m->v[i].handler, &one);
        ret->most += one.most;
        ret->busy += one.busy;
        ret->lost += one.lost;
        if (one.room < ret->room)
            ret->room = one.room;
    }
}

int mounts_write_tasks(const struct mounts *m, PyObject *loop, PyObject *host, int fd)
{
    PyObject *described = PyDict_New();
    int r = described ? 0 : -1;
    for (size_t i = 0; i < m->n && r == 0; i++)
        if (m->v[i].env.tasks)
            r = pytasks_describe_all(m->v[i].env.tasks, described);
    if (r == 0)
        r = tasks_text_write(fd, loop, described, host);
    Py_XDECREF(described);
    return r;
}

void mounts_drain(struct mounts *m, bool service_stops)
{
    for (size_t i = 0; i < m->n; i++)
        m->v[i].interface->drain(m->v[i].handler, service_stops);
}

void mounts_cancel(struct mounts *m)
{
    for (size_t i = 0; i < m->n; i++)
        m->v[i].interface->cancel(m->v[i].handler);
}
