/* SPDX-License-Identifier: BSD-3-Clause */
/* worker.h: one worker process, shared by the files worker*.c and mold.c alone.
 *
 * BOOTING -> SERVING -> DRAINING -> CANCELLING -> STOPPING -> DONE; only forward, stages may be
 * skipped. Nothing that the event loop may call is armed before the application is loaded, and what it may call lives
 * until its last turn, which comes after DONE: tasks of the application end then.
 */
#ifndef TINE_WORKER_WORKER_H
#define TINE_WORKER_WORKER_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <string.h>

#include "common/descriptors.h"
#include "common/heritage.h"
#include "common/stop_signals.h"
#include "worker/http/site.h"
#include "worker/net/conn.h"
#include "worker/net/hearing.h"

struct access_log;
struct acceptor;
struct admission;
struct compressor;
struct conf_app;
struct front;
struct router;
struct worker;
struct interp;
struct pyloop;
struct worker_app;

enum worker_state {
    WORKER_BOOTING, /* loading the application, lifespan startup */
    WORKER_SERVING,
    WORKER_DRAINING,   /* accepts no more; requests in flight may finish until graceful_timeout */
    WORKER_CANCELLING, /* they did not: connections are cut, tasks were cancelled */
    WORKER_STOPPING,   /* lifespan shutdown */
    WORKER_DONE,
};

/* Why a worker cannot start: the exit status, and the text for the master's log. */
struct worker_failure {
    int status;
    char *why; /* to be freed; NULL: out of memory */
};

/* Fills *ret with a copy of `why`; NULL: out of memory. Returns -1 for its caller to return. */
static inline int worker_failed(struct worker_failure *ret, int status, const char *why)
{
    *ret = (struct worker_failure){ status, why ? strdup(why) : NULL };
    return -1;
}

/* What the files below worker.c report upwards, and what the master orders through worker_ipc.c. Implemented by worker.c,
 * which alone changes the state. */
struct worker_events {
    /* From worker_app.c: lifespan startup has succeeded, or failed with an exit status and `why`, for the master's log. */
    void (*started)(struct worker *w);
    void (*start_failed)(struct worker *w, int status, const char *why);
    /* Something refuses the sub-interpreter that the application lives in (`why`), and the configuration leaves the choice:
     * a worker that starts ends for a life in the main one, one that serves has the master replace it. */
    void (*needs_main)(struct worker *w, const char *why);
    /* Lifespan shutdown has ended. */
    void (*stopped)(struct worker *w);
    /* Once a loop turn. */
    void (*turn)(struct worker *w);
    /* The application has ended the event loop, which will be run again: a failed start (`why`, for the master's log), or
     * the worker drains, if it does not end already. */
    void (*loop_left)(struct worker *w, const char *why);
    /* The application wants the process to end, or the worker is deaf (`why`, for the log): the master is asked for a
     * successor, and this one serves until it is there. Once; not while it ends anyway. */
    void (*wants_successor)(struct worker *w, const char *why);
    /* Orders: stop gracefully, what is in flight may finish; stop now; open the log files again. */
    void (*drain)(struct worker *w);
    void (*quit)(struct worker *w);
    /* A SIGTERM was meant for this worker and not for the service. */
    void (*terminated)(struct worker *w);
    void (*reopen_logs)(struct worker *w);
};

struct worker {
    const struct worker_events *events; /* NULL in a mold, which only imports */
    const struct heritage *heritage;
    const struct conf *conf;
    enum worker_state state;
    int exit_status;
    uint64_t end_ms; /* clock_ms() by which a worker that was told to stop is to have ended; 0: it was not */
    bool is_quick; /* it was told to stop now */
    int folder; /* the working folder before the application was loaded: where paths of the configuration begin */
    struct event_base *base;
    struct net net;
    struct site site; /* net.site */
    struct compressor *compressor; /* NULL: answers are not compressed */
    struct acceptor *acceptor;
    struct access_log *access_log;
    struct admission *admission; /* in front of the applications; NULL: nothing is limited */
    struct front *front; /* in front of everything; NULL: it has nothing to do */
    struct router *router; /* in front of all handlers; NULL: there is nothing to choose from */
    struct worker_app *app; /* NULL: nothing needs Python */
    struct event ipc_event, deadline_event, boot_event, beat_event;
    unsigned young_beats; /* heartbeats until they become rarer */
    uint64_t log_dropped; /* lines of the error log that are counted, here or in the process that forked this one */
    uint64_t recycle_at; /* asks for a successor after this many requests; 0: never, or it has */
    bool wants_successor; /* the master has been asked for one */
    bool service_stops; /* no other worker takes its place */
    bool has_refused; /* the master knows what refuses its interpreter */
    struct descriptors descriptors; /* ours, looked at while it serves */
    struct event signal_events[STOP_SIGNALS];
    struct event term_event; /* pending: a SIGTERM has come, perhaps to this worker alone */
    struct hearing hearing;
    bool is_deaf; /* which is logged already */
};

/* --- worker_base.c --- */

/* An event base without locks, as loop.h wants it: one thread touches it. NULL: out of memory. */
struct event_base *worker_base_new(void);
/* From here on children that the application forks are strangers (forked.h), and have nothing of what was handed down.
 * At the birth of a worker or a mold, before there are threads. 0, or -1 with errno. */
int worker_guard_forks(const struct heritage *heritage);
/* The descriptor of the present working folder, for worker_live(); AT_FDCWD if there is none to be had. */
int worker_folder(void);

/* --- worker_limits.c: when it ends, and how long that may take --- */

struct conf_server;
/* The number of requests after which to ask for a successor; 0: any. */
uint64_t worker_recycle_at(const struct conf_server *conf);
/* It was told to stop, or to stop now: the time for that begins, unless it has. */
void worker_limits_begin(struct worker *w, bool quick);
/* Milliseconds: for requests in flight; for lifespan shutdown, from now on; for threads that are left, from now on. */
uint64_t worker_drain_limit(const struct worker *w);
uint64_t worker_shutdown_limit(const struct worker *w);
uint64_t worker_threads_limit(const struct worker *w);

/* --- worker_memory.c --- */

/* Gives back to the kernel what the start has freed: imports free a lot, most of it in the arena of the loop's thread, which
 * the C library never trims by itself. */
void worker_trim_memory(void);

/* --- worker_freeze.c --- */

/* app.gc_freeze. GIL held; leaves no exception set. */
void worker_freeze(void);

/* --- worker_steps.c: app.blocking_warning --- */

struct pyloop;
struct step_watch;
/* NULL: it is off, or cannot be had, which is logged. GIL held. */
struct step_watch *worker_steps_watch(struct worker *w, struct pyloop *loop);
void worker_steps_unwatch(struct step_watch *watch, struct pyloop *loop);

/* --- worker_hearing.c: the worker's half of the watchdog --- */

/* With each heartbeat: asks to be replaced if no connection can be heard any more. */
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

/* --- worker_tls.c: certificates --- */

/* 0, or -1 and *ret says why. */
int worker_tls_start(struct worker *w, struct worker_failure *ret);
/* New certificates are in the vault. */
void worker_tls_take(struct worker *w);

/* --- worker_reports.c --- */

/* Tells the master what it remembers together with the choice of the main interpreter. */
void worker_report_environment(const struct worker *w, const struct interp *interp);
/* Logs which loop hosts this one, once a generation, more or less; nothing where it is our own. */
void worker_report_loop(const struct worker *w, const struct interp *interp, const struct pyloop *loop);

/* --- worker_app.c: Python and the applications --- */

/* Whether anything that is configured needs Python. */
bool worker_app_is_needed(const struct conf *conf);

/* Three ways to begin; 0, or -1 and *ret says why: report that first, then worker_app_give_up(), for Python may take its
 * time to end.
 * new: starts Python and loads the applications, whose modules have their own loop to run meanwhile. *ret_app is NULL if
 * Python did not start. */
int worker_app_new(struct worker *w, struct worker_app **ret_app, struct worker_failure *ret);
/* In a mold: the same, ready to be forked; w->base is not needed. */
int worker_app_cast(struct worker *w, struct worker_app **ret_app, struct worker_failure *ret);
/* After the fork: it is this worker's now. */
int worker_app_adopt(struct worker_app *a, struct worker *w, struct worker_failure *ret);
/* Ends the Python of one that failed to begin; may be NULL. */
void worker_app_give_up(struct worker_app *a);
/* The loop's own descriptors are added to the worker's. */
void worker_app_add_descriptors(struct worker_app *a, struct descriptors *d);
/* Who answers for &conf->app or the app of a mount; not for one that is built in or not there. */
struct handler *worker_app_handler(struct worker_app *a, const struct conf_app *app);
/* Lifespan startup, inside the running loop; ends in events->started or start_failed. */
void worker_app_start(struct worker_app *a);
/* Runs the loop until worker_app_end(), again each time that the application has ended it. 0, or -1, logged: the loop
 * cannot be run any more. */
int worker_app_run(struct worker_app *a);
/* Once a second: what the application has met that refuses its sub-interpreter is reported (events->needs_main). */
void worker_app_look_at_refusals(struct worker_app *a);
/* Once a second, and when one is lost or found: counts the threads of the applications, and accepts no connection while every
 * one is lost. */
void worker_app_count_threads(struct worker_app *a);
/* Requests that the applications still work on. */
unsigned worker_app_running(struct worker_app *a);
/* app.hooks: on the master's order. */
struct ipc_hook;
void worker_app_hook(struct worker_app *a, const struct ipc_hook *hook);
/* tinectl tasks: what the loop's tasks wait for, as text. Never waits for the reader. */
void worker_app_write_tasks(struct worker_app *a, int fd);
/* The applications are told that the worker stops; see app/interface.h. */
void worker_app_drain(struct worker_app *a, bool service_stops);
void worker_app_cancel(struct worker_app *a);
/* Lifespan shutdown; ends in events->stopped. */
void worker_app_stop(struct worker_app *a);
/* Makes worker_app_run() return. */
void worker_app_end(struct worker_app *a);
/* In the state DONE: ends what is left of the applications' tasks, which takes turns of the loop, and Python's threads,
 * which have `ms` milliseconds, and runs atexit functions. */
void worker_app_free(struct worker_app *a, uint64_t ms);

/* --- worker_routes.c: who answers which request --- */

/* Sets site.handler; before the first request, after worker_app_new(). 0, or -1 and *ret says why. */
int worker_routes_new(struct worker *w, struct worker_failure *ret);
void worker_routes_free(struct worker *w);

/* --- worker_ipc.c: the master's messages and signals --- */

/* 0, or -1 with errno. */
int worker_ipc_start(struct worker *w);
void worker_ipc_stop(struct worker *w);

/* --- worker.c --- */

/* The life of a worker; `app` has been loaded by the mold that it was forked from, or NULL: not loaded yet. `folder` as in
 * struct worker. Returns the exit status. */
int worker_live(const struct heritage *heritage, struct worker_app *app, int folder);
/* Reports to the master why a worker or a mold cannot start. */
void worker_report_failure(const struct heritage *heritage, const struct worker_failure *failure);

#endif
