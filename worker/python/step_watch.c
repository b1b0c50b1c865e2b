/* SPDX-License-Identifier: BSD-3-Clause */
/* step_watch.c: see step_watch.h. The stack is written by faulthandler inside a signal handler of the loop's thread, which
 * needs no GIL, so that native code which holds it is seen too; of that thread alone, since others may be changing theirs;
 * into a pipe, from which the watching thread takes it. That thread knows nothing of Python and must never touch an object.
 * The name of the step comes by the same pipe: it is the loop's thread's alone.
 */
#include "worker/python/step_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/fdutil.h"
#include "common/forked.h"
#include "common/log.h"

#define NS_PER_MS 1000000u
#define DUMP_MS 1000 /* for writing a stack, on a machine that is busy */
#define DUMP_MAX (64u << 10)
#define REPORTS_AT_ONCE 5 /* and then one in */
#define REPORT_EVERY_MS 10000

struct step_watch {
    uint64_t limit_ns;
    const struct step_watch_ops *ops;
    void *arg;

    /* written by the loop's thread */
    _Atomic(uint64_t) started_ns; /* of the present step; 0: none */
    _Atomic(unsigned) number; /* of the present step */
    _Atomic(uint64_t) ended_ns; /* of the step before, or of the last turn that was asked for */
    unsigned depth;
    char what[STEP_WHAT];

    /* written by both: set by the watching thread */
    _Atomic(uint64_t) asked_ns; /* when it has asked for a turn that has not come; 0: it has not */

    /* written by the watching thread */
    _Atomic(uint64_t) told_since; /* since when there was no turn, if the log has a stack of that */
    _Atomic(unsigned) told; /* number of the last step whose stack was logged */

    pthread_t loop_thread, thread;
    int signo;
    void (*dump)(int signo); /* faulthandler's */
    int pipe[2]; /* the name of the step, a NUL, what it writes, a NUL */
    int stop_fd; /* readable: the watch ends */
    _Atomic(bool) asks; /* for turns, by ... */
    int ask_fd;
    unsigned seen; /* number of the last step that was judged */
    uint64_t seen_since; /* the same of turns */
    unsigned reports; /* that may be made now */
    uint64_t earned_ms; /* when the last one was earned */
    unsigned untold; /* late steps since the last report */
};

/* --- the loop's thread --- */

/* The coarse clock is read twice a step: cheap, and exact enough for what takes milliseconds. */
void step_watch_end(struct step_watch *watch)
{
    uint64_t started = atomic_load_explicit(&watch->started_ns, memory_order_relaxed);
    if (!started || watch->depth)
        return;
    uint64_t took = clock_coarse_ns() - started;
    unsigned number = atomic_load_explicit(&watch->number, memory_order_relaxed);
    atomic_store_explicit(&watch->ended_ns, started + took, memory_order_relaxed);
    atomic_store_explicit(&watch->started_ns, 0, memory_order_release);
    if (took >= watch->limit_ns)
        watch->ops->on_late(watch->arg, watch->what, took,
                            atomic_load_explicit(&watch->told, memory_order_relaxed) == number);
}

/* Since when no step has been seen, and no turn though one was asked for; 0: none is asked for. */
static uint64_t still_since(const struct step_watch *watch)
{
    uint64_t asked = atomic_load_explicit(&watch->asked_ns, memory_order_acquire);
    uint64_t ended = atomic_load_explicit(&watch->ended_ns, memory_order_relaxed);
    return asked && ended > asked ? ended : asked;
}

/* It has not run for this long, or is told that it has. */
static void moves(struct step_watch *watch)
{
    uint64_t since = still_since(watch), now = clock_coarse_ns();
    atomic_store_explicit(&watch->ended_ns, now, memory_order_relaxed);
    if (since && now > since && now - since >= watch->limit_ns)
        watch->ops->on_late(watch->arg, "", now - since,
                            atomic_load_explicit(&watch->told_since, memory_order_relaxed) == since);
}

void step_watch_turns(struct step_watch *watch)
{
    step_watch_end(watch);
    moves(watch);
    atomic_store_explicit(&watch->asked_ns, 0, memory_order_release);
}

void step_watch_begin(struct step_watch *watch)
{
    if (watch->depth)
        return;
    step_watch_end(watch);
    if (atomic_load_explicit(&watch->asks, memory_order_relaxed))
        moves(watch);
    watch->what[0] = '\0';
    atomic_fetch_add_explicit(&watch->number, 1, memory_order_relaxed);
    atomic_store_explicit(&watch->started_ns, clock_coarse_ns(), memory_order_release);
}

void step_watch_enter(struct step_watch *watch)
{
    watch->depth++;
}

void step_watch_leave(struct step_watch *watch)
{
    watch->depth--;
}

char *step_watch_name(struct step_watch *watch)
{
    return watch->what;
}

static void on_stack_wanted(int signo, siginfo_t *info, void *context)
{
    if (info->si_code != SI_QUEUE || info->si_pid != getpid())
        return;
    const struct step_watch *watch = info->si_value.sival_ptr;
    int saved = errno;
    char what[STEP_WHAT];
    memcpy(what, watch->what, sizeof what); /* it may be being written right now */
    what[sizeof what - 1] = '\0';
    (void)!write(watch->pipe[1], what, strlen(what) + 1);
    watch->dump(signo);
    (void)!write(watch->pipe[1], "", 1);
    errno = saved;
}

/* --- the watching thread --- */

/* Of a dump: what is below its heading. */
static struct span frames_of(struct span dump)
{
    const char *line = dump.n ? memchr(dump.p, '\n', dump.n) : NULL;
    return line ? (struct span){ line + 1, dump.n - (size_t)(line + 1 - dump.p) } : dump;
}

/* Takes what is in the pipe; how many NULs were among it. */
static unsigned drain(struct step_watch *watch, struct buf *to)
{
    char piece[4096];
    ssize_t n;
    unsigned nuls = 0;
    while ((n = read(watch->pipe[0], piece, sizeof piece)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            nuls += piece[i] == '\0';
        if (to && buf_len(to) < DUMP_MAX && buf_add(to, piece, (size_t)n) < 0)
            return 2; /* out of memory: no more of it */
    }
    return nuls;
}

/* Has the loop's thread write its step and its stack. */
static void take_stack(struct step_watch *watch, struct buf *taken)
{
    union sigval value = { .sival_ptr = watch };
    uint64_t until = clock_ms() + DUMP_MS;
    unsigned nuls = 0;
    drain(watch, NULL); /* of one that came too late */
    if (pthread_sigqueue(watch->loop_thread, watch->signo, value) != 0)
        return;
    for (uint64_t now; nuls < 2 && (now = clock_ms()) < until;) {
        struct pollfd p = { .fd = watch->pipe[0], .events = POLLIN };
        if (poll(&p, 1, (int)(until - now)) > 0)
            nuls += drain(watch, taken);
    }
}

/* The name, which is copied, and the stack after it. */
static struct span divide(const struct buf *taken, char what[STEP_WHAT])
{
    struct span all = buf_span(taken);
    what[0] = '\0';
    if (!all.n)
        return span_of("");
    size_t name = strnlen(all.p, all.n), from = name < all.n ? name + 1 : all.n;
    snprintf(what, STEP_WHAT, "%.*s", (int)name, all.p);
    return (struct span){ all.p + from, strnlen(all.p + from, all.n - from) };
}

static bool may_report(struct step_watch *watch)
{
    uint64_t now = clock_ms(), earned = (now - watch->earned_ms) / REPORT_EVERY_MS;
    if (earned) {
        watch->reports =
            earned + watch->reports > REPORTS_AT_ONCE ? REPORTS_AT_ONCE : watch->reports + (unsigned)earned;
        watch->earned_ms = now;
    }
    if (!watch->reports) {
        watch->untold++;
        return false;
    }
    watch->reports--;
    return true;
}

/* The present step. */
static uint64_t step_since(const struct step_watch *watch)
{
    return atomic_load_explicit(&watch->started_ns, memory_order_acquire);
}

/* True: logged. Since when the loop is held says `since_of`, 0: it is not; a stack taken in another step is none of its. */
static bool report(struct step_watch *watch, unsigned number, uint64_t (*since_of)(const struct step_watch *))
{
    char first[STEP_WHAT + 200], what[STEP_WHAT], before[60] = "";
    struct buf taken = { 0 };
    if (!may_report(watch))
        return false;
    uint64_t since = since_of(watch);
    take_stack(watch, &taken);
    struct span dump = divide(&taken, what);
    /* The stack is of the step that we mean if that one is still running. */
    if (!since || since_of(watch) != since || atomic_load_explicit(&watch->number, memory_order_relaxed) != number) {
        watch->reports++;
        buf_release(&taken);
        return false;
    }
    if (since_of != step_since)
        what[0] = '\0'; /* of the step before */
    if (watch->untold)
        snprintf(before, sizeof before, "; %u more since the last report", watch->untold);
    watch->untold = 0;
    const char *quote = *what ? "\"" : "", *who = *what ? what : "a task or callback of the application";
    snprintf(first, sizeof first,
             "the event loop has been held for %.0f ms (app.blocking_warning) by %s%s%s%s; its stack:",
             (double)(clock_coarse_ns() - since) / 1e6, quote, who, quote, before);
    struct span frames = frames_of(dump);
    log_block(LOG_LEVEL_WARNING, first, frames.n ? frames.p : "  (none could be taken)\n",
              frames.n ? frames.n : strlen("  (none could be taken)\n"));
    buf_release(&taken);
    return true;
}

/* Asks for a turn, or judges the one that does not come; no step runs that is noted. */
static void look_at_turns(struct step_watch *watch, uint64_t now, unsigned number)
{
    uint64_t since = still_since(watch), one = 1;
    if (!since) {
        atomic_store_explicit(&watch->asked_ns, now, memory_order_release);
        (void)!write(watch->ask_fd, &one, sizeof one);
    } else if (since != watch->seen_since && now >= since + watch->limit_ns) {
        watch->seen_since = since;
        if (report(watch, number, still_since))
            atomic_store_explicit(&watch->told_since, since, memory_order_relaxed);
    }
}

/* Judges the present step. Milliseconds until the next look. */
static int look(struct step_watch *watch)
{
    uint64_t limit = watch->limit_ns, now = clock_coarse_ns();
    unsigned number = atomic_load_explicit(&watch->number, memory_order_acquire);
    uint64_t started = atomic_load_explicit(&watch->started_ns, memory_order_acquire);
    int half = (int)(limit / NS_PER_MS / 2);
    if (!started && atomic_load_explicit(&watch->asks, memory_order_acquire))
        look_at_turns(watch, now, number);
    if (!started || number == watch->seen)
        return half ? half : 1;
    if (now < started + limit)
        return (int)((started + limit - now) / NS_PER_MS) + 1;
    watch->seen = number;
    if (report(watch, number, step_since))
        atomic_store_explicit(&watch->told, number, memory_order_relaxed);
    return half ? half : 1;
}

static void *watch_thread(void *arg)
{
    struct step_watch *watch = arg;
    struct pollfd stop = { .fd = watch->stop_fd, .events = POLLIN };
    while (poll(&stop, 1, look(watch)) <= 0) {
    }
    return NULL;
}

/* --- life --- */

/* Has faulthandler take the signal, and puts our handler around its own. 0, or -1 with an exception set. */
static int take_signal(struct step_watch *watch)
{
    struct sigaction action;
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *function = module ? PyObject_GetAttrString(module, "register") : NULL;
    PyObject *args = function ? Py_BuildValue("(i)", watch->signo) : NULL;
    PyObject *kwargs = args ? Py_BuildValue("{s:i,s:O}", "file", watch->pipe[1], "all_threads", Py_False) : NULL;
    PyObject *r = kwargs ? PyObject_Call(function, args, kwargs) : NULL;
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(function);
    Py_XDECREF(module);
    if (!r)
        return -1;
    Py_DECREF(r);
    sigaction(watch->signo, NULL, &action);
    watch->dump = action.sa_handler;
    action.sa_sigaction = on_stack_wanted;
    action.sa_flags |= SA_SIGINFO | SA_RESTART;
    sigaction(watch->signo, &action, NULL);
    forked_own_signal(watch->signo);
    return 0;
}

/* It takes no signal of the process. */
static int start_thread(struct step_watch *watch)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&watch->thread, NULL, watch_thread, watch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        pthread_setname_np(watch->thread, "step watch");
    errno = error;
    return error ? -1 : 0;
}

static void release(struct step_watch *watch)
{
    fd_close(&watch->pipe[0]);
    fd_close(&watch->pipe[1]);
    fd_close(&watch->stop_fd);
    fd_close(&watch->ask_fd);
    free(watch);
}

int step_watch_ask(struct step_watch *watch)
{
    watch->ask_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    forked_own(watch->ask_fd);
    atomic_store_explicit(&watch->asks, watch->ask_fd >= 0, memory_order_release);
    return watch->ask_fd;
}

struct step_watch *step_watch_new(uint64_t limit_ms, const struct step_watch_ops *ops, void *arg)
{
    struct step_watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        PyErr_NoMemory();
        return NULL;
    }
    watch->limit_ns = limit_ms * NS_PER_MS;
    watch->ops = ops;
    watch->arg = arg;
    watch->reports = REPORTS_AT_ONCE;
    watch->earned_ms = clock_ms();
    watch->loop_thread = pthread_self();
    watch->signo = SIGRTMAX - 3;
    watch->pipe[0] = watch->pipe[1] = watch->ask_fd = -1;
    watch->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool open = watch->stop_fd >= 0 && pipe2(watch->pipe, O_CLOEXEC | O_NONBLOCK) == 0;
    forked_own(watch->stop_fd);
    forked_own(watch->pipe[0]);
    forked_own(watch->pipe[1]);
    if (!open)
        PyErr_SetFromErrno(PyExc_OSError);
    else if (take_signal(watch) == 0) {
        if (start_thread(watch) == 0)
            return watch;
        PyErr_SetFromErrno(PyExc_OSError);
        signal(watch->signo, SIG_IGN);
    }
    release(watch);
    return NULL;
}

void step_watch_free(struct step_watch *watch)
{
    if (!watch)
        return;
    uint64_t one = 1;
    (void)!write(watch->stop_fd, &one, sizeof one);
    pthread_join(watch->thread, NULL);
    signal(watch->signo, SIG_IGN); /* what is still on its way is forgotten with it */
    release(watch);
}
