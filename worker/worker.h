/* SPDX-License-Identifier: BSD-3-Clause */
/* worker.h: one worker process, shared by the files worker*.c alone.
 *
 * BOOTING -> SERVING -> DRAINING -> CANCELLING -> STOPPING -> DONE; only forward, stages may be
 * skipped. Nothing that the event loop may call is armed before the application is loaded, and what it may call lives
 * until its last turn, which comes after DONE: tasks of the application end then.
 */
#ifndef TINE_WORKER_WORKER_H
#define TINE_WORKER_WORKER_H

#include <event2/event_struct.h>
#include <stdbool.h>

#include "common/descriptors.h"
#include "common/heritage.h"
#include "worker/http/site.h"
#include "worker/net/conn.h"
#include "worker/net/hearing.h"

struct access_log;
struct acceptor;
struct admission;
struct compressor;
struct conf_app;
struct router;
struct worker_app;

enum worker_state {
    WORKER_BOOTING, /* loading the application, lifespan start-up */
    WORKER_SERVING,
    WORKER_DRAINING,   /* accepts no more; requests in flight may finish until graceful_timeout */
    WORKER_CANCELLING, /* they did not: connections are cut, tasks were cancelled */
    WORKER_STOPPING,   /* lifespan shut-down */
    WORKER_DONE,
};

struct worker {
    const struct heritage *heritage;
    const struct conf *conf;
    enum worker_state state;
    int exit_status;
    int folder; /* the working folder before the application was loaded: where paths of the configuration begin */
    struct event_base *base;
    struct net net;
    struct site site; /* net.site */
    struct compressor *compressor; /* NULL: answers are not compressed */
    struct acceptor *acceptor;
    struct access_log *access_log;
    struct admission *admission; /* in front of the applications; NULL: nothing is limited */
    struct router *router;       /* in front of all; NULL: there is nothing to choose from */
    struct worker_app *app; /* NULL: nothing needs Python */
    struct event ipc_event, deadline_event, boot_event, beat_event;
    uint64_t log_dropped; /* lines of the error log that are counted, here or in the process that forked this one */
    uint64_t recycle_at;  /* asks for a successor after this many requests; 0: never, or it has */
    bool wants_successor; /* it has asked for one */
    struct descriptors descriptors; /* ours, looked at while it serves */
    struct event signal_events[4];
    struct hearing hearing;
    bool is_deaf; /* it has said so */
};

/* --- worker.c --- */

/* The life of a worker; `app` has been loaded by the mold that it was forked from, NULL: by nobody yet. `folder` as in
 * struct worker. Returns the exit status. */
int worker_live(const struct heritage *heritage, struct worker_app *app, int folder);
/* The descriptor of the present working folder, for worker_live(); AT_FDCWD if there is none to be had. */
int worker_folder(void);
/* What the loops of a worker need; NULL: out of memory. */
struct event_base *worker_base_new(void);
/* From here on children that the application forks are strangers (forked.h), and have nothing of what was handed down.
 * At the birth of a worker or a mold, before there are threads. 0, or -1 with errno. */
int worker_guard_forks(const struct heritage *heritage);

/* Start-up is over: accept and say READY. */
void worker_serve(struct worker *w);
/* Booting failed: tells the master why and ends with `status`. */
void worker_fail(struct worker *w, int status, const char *why);
/* Stops gracefully: what is in flight may finish. */
void worker_drain(struct worker *w);
/* Stops now. */
void worker_quit(struct worker *w);
/* The application wants the process to end (`why`, for the log): the master is asked for a successor, and this one serves
 * until it is there. Once; not while it ends anyway. */
void worker_wants_successor(struct worker *w, const char *why);
/* The application has ended the event loop, which will be run again: a failed start (`why`, for the master's log), or the
 * worker drains, if it does not end already. */
void worker_loop_left(struct worker *w, const char *why);
void worker_reopen_logs(struct worker *w);
/* Lifespan shut-down is over. */
void worker_stopped(struct worker *w);
/* Once a loop turn. */
void worker_turn(struct worker *w);

/* --- worker_ipc.c: the master's messages and signals --- */

/* 0, or -1 with errno. */
int worker_ipc_start(struct worker *w);
void worker_ipc_stop(struct worker *w);

/* --- worker_hearing.c: the worker's half of the watchdog --- */

/* With each heartbeat: asks to be replaced if nobody can be heard any more. */
void worker_hear(struct worker *w);
/* --- worker_beat.c: once a second --- */

/* The numbers of descriptors that are open before the worker makes its own. */
#define DESCRIPTORS_BEFORE 1024
/* Notes those that were handed down, and what has come to `before`: only while no thread may open others. */
void worker_note_descriptors(struct worker *w, const int *before, size_t n);
/* Does not return if one of them is gone while the worker serves. */
void worker_check_descriptors(struct worker *w);
void worker_beat_new(struct worker *w);
void worker_beat_start(struct worker *w);

/* --- worker_routes.c: who answers which request --- */

/* Sets site.handler; before the first request, behind worker_app_new(). 0, or -1: worker_fail() was called. */
int worker_routes_new(struct worker *w);
void worker_routes_free(struct worker *w);

/* --- worker_steps.c: app.blocking_warning --- */

struct pyloop;
struct step_watch;
/* NULL: it is off, or cannot be had, which is logged. GIL held. */
struct step_watch *worker_steps_watch(struct worker *w, struct pyloop *loop);
void worker_steps_unwatch(struct step_watch *watch, struct pyloop *loop);

/* --- worker_app.c: Python and the applications --- */

/* Whether anything that is configured needs Python. */
bool worker_app_is_needed(const struct conf *conf);

/* Starts Python and loads the applications, whose modules have a loop of their own to run meanwhile. NULL: worker_fail()
 * was called. */
struct worker_app *worker_app_new(struct worker *w);
/* In a mold: the same, ready to be forked; w->base is not needed. */
struct worker_app *worker_app_cast(struct worker *w);
/* After the fork: it is this worker's now. NULL: worker_fail() was called. */
struct worker_app *worker_app_adopt(struct worker_app *a, struct worker *w);
/* The loop's own descriptors are added to the worker's. */
void worker_app_add_descriptors(struct worker_app *a, struct descriptors *d);
/* Who answers for &conf->app or the app of a mount; not for one that is built in or not there. */
struct handler *worker_app_handler(struct worker_app *a, const struct conf_app *app);
/* Lifespan start-up, inside the running loop; ends in worker_serve() or worker_fail(). */
void worker_app_start(struct worker_app *a);
/* Runs the loop until worker_app_end(), again each time that the application has ended it. */
void worker_app_run(struct worker_app *a);
/* Requests that the applications still work on. */
unsigned worker_app_running(struct worker_app *a);
void worker_app_cancel(struct worker_app *a);
/* Lifespan shut-down; ends in worker_stopped(). */
void worker_app_stop(struct worker_app *a);
/* Makes worker_app_run() return. */
void worker_app_end(struct worker_app *a);
/* In the state DONE: ends what is left of the applications' tasks, which takes turns of the loop, and Python's threads,
 * and runs atexit functions. */
void worker_app_free(struct worker_app *a);

/* --- worker_tls.c: certificates --- */

/* 0, or -1: worker_fail() was called. */
int worker_tls_start(struct worker *w);
/* New certificates are in the vault. */
void worker_tls_take(struct worker *w);

#endif
