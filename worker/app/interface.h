/* SPDX-License-Identifier: BSD-3-Clause */
/* interface.h: the seam between a loaded application and the ways to call it (ASGI, WSGI). GIL held in every
 * call. The list of interfaces is worker/interfaces.c's. */
#ifndef TINE_APP_INTERFACE_H
#define TINE_APP_INTERFACE_H

#include <Python.h>
#include <stdbool.h>

struct conf;
struct conf_app;
struct event_base;
struct handler;
struct interp;
struct pyloop;
struct pytasks;
struct score;

/* What an interface gets to work with; lives as long as the worker. */
struct app_env {
    const struct conf *conf;
    const struct conf_app *app;
    const char *prefix; /* under which it is mounted: "/api"; "": it has every path */
    struct interp *interp;
    struct pyloop *loop;
    struct event_base *base;
    struct pytasks *tasks; /* runs the coroutines of requests */
    /* One of its requests, or its lifespan, has raised SystemExit or KeyboardInterrupt: it wants the process to end. `why` is
     * text for the log. In the loop's thread. */
    void (*on_exit)(void *arg, const char *why);
    /* The answer of count_threads() is another one than before. In the loop's thread. */
    void (*on_threads_changed)(void *arg);
    void *exit_arg; /* of both */
    struct score *score; /* the worker's figures */
};

/* Whether an application can take one more request, the worst last. */
enum interface_room {
    ROOM_FREE,
    ROOM_STALLED, /* requests wait, and no thread has begun with one for server.timeout */
    ROOM_LOST, /* every thread that it may have is lost */
};

struct interface_threads {
    unsigned most, busy, lost;
    enum interface_room room;
};

enum interface_start {
    INTERFACE_STARTED,
    INTERFACE_START_FAILED,
    INTERFACE_START_NEEDS_MAIN, /* it failed because something refuses to run in a sub-interpreter */
};

struct interface_ops {
    const char *name;
    /* A handler that serves `object`; NULL: exception set. */
    struct handler *(*open)(const struct app_env *env, PyObject *object);
    /* Begins startup (lifespan); the result comes through `done`, once, GIL held; `why` is text for the log on failure. */
    void (*start)(struct handler *h, void (*done)(void *arg, enum interface_start result, const char *why), void *arg);
    /* Begins shutdown after the last request; `done` comes once. */
    void (*stop)(struct handler *h, void (*done)(void *arg), void *arg);
    /* The worker begins to drain: the application is told. `service_stops`: no other worker takes its place. At most once, or
     * first with false and later with true. */
    void (*drain)(struct handler *h, bool service_stops);
    /* Requests (tasks, threads) that still run. */
    unsigned (*running)(struct handler *h);
    /* Looked at once a second; NULL: it has no threads. */
    void (*count_threads)(struct handler *h, struct interface_threads *ret);
    /* graceful_timeout has expired: cancel them. */
    void (*cancel)(struct handler *h);
    /* Nothing closes it: objects of the application may hold it until the process ends. */
};

/* A row of the list of interfaces, which ends with a row without a name. */
struct interface_choice {
    const char *name; /* as the configuration and app_load.py call it */
    int conf; /* enum conf_interface */
    const struct interface_ops *ops;
};

#endif
