/* SPDX-License-Identifier: BSD-3-Clause */
/* verdict.c: see verdict.h. Knows no process and no file. */
#include "master/fleet/verdict.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/fatal.h"
#include "common/heritage.h"
#include "common/log.h"
#include "common/span.h"
#include "conf/conf.h"

#define WHY_MOST 300
#define BIT(state) (1u << (state))

static void set_state(struct verdict *verdict, enum verdict_state state)
{
    static const unsigned next[] = {
        [VERDICT_NEW] = BIT(VERDICT_OPEN) | BIT(VERDICT_MAIN),
        [VERDICT_OPEN] = BIT(VERDICT_WORKS) | BIT(VERDICT_TRYING),
        [VERDICT_WORKS] = BIT(VERDICT_TRYING),
        [VERDICT_TRYING] = BIT(VERDICT_MAIN) | BIT(VERDICT_SUB),
        [VERDICT_MAIN] = 0,
        [VERDICT_SUB] = 0,
    };
    fatal_unless(next[verdict->state] & BIT(state));
    verdict->state = state;
}

/* The setting that works only in the main interpreter; NULL: none. */
static const char *needs_main(const struct conf_app *app)
{
    if (app->preload_app)
        return "app.preload_app";
    return app->loop == CONF_LOOP_UVLOOP   ? "app.loop = uvloop"
           : app->loop == CONF_LOOP_GEVENT ? "app.loop = gevent"
                                           : NULL;
}

void verdict_init(struct verdict *verdict, const struct conf_app *app)
{
    const char *why = app->interpreter != CONF_INTERPRETER_AUTO ? NULL : needs_main(app);
    enum verdict_state state = app->interpreter == CONF_INTERPRETER_MAIN || why ? VERDICT_MAIN
                               : app->interpreter == CONF_INTERPRETER_SUB       ? VERDICT_SUB
                                                                                : VERDICT_NEW;
    *verdict = (struct verdict){ .state = state, .why = why ? strdup(why) : NULL };
}

void verdict_done(struct verdict *verdict)
{
    free(verdict->why);
    verdict->why = NULL;
}

bool verdict_is_main(const struct verdict *verdict)
{
    return verdict->state == VERDICT_TRYING || verdict->state == VERDICT_MAIN;
}

static struct span line_before(const char *text, size_t n)
{
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    const char *newline = memrchr(text, '\n', n);
    const char *line = newline ? newline + 1 : text;
    return (struct span){ line, n - (size_t)(line - text) };
}

/* The last line of `text`: of a traceback that is the exception. What a worker adds to that (refusal.py) says nothing
 * here. */
static void set_why(struct verdict *verdict, const char *text)
{
    static const char advice[] = "Tine: ";
    char room[WHY_MOST + 1];
    struct span line = line_before(text, strlen(text));
    while (line.p > text && line.n >= strlen(advice) && memcmp(line.p, advice, strlen(advice)) == 0)
        line = line_before(text, (size_t)(line.p - text));
    size_t n = log_escape(room, WHY_MOST, line.p, line.n, "");
    free(verdict->why);
    verdict->why = strndup(room, n);
}

static const char *why_of(const struct verdict *verdict)
{
    return verdict->why ? verdict->why : "out of memory";
}

void verdict_recall(struct verdict *verdict, const char *why)
{
    if (verdict->state != VERDICT_NEW)
        return;
    set_state(verdict, why ? VERDICT_MAIN : VERDICT_OPEN);
    if (!why)
        return;
    set_why(verdict, why);
    verdict->found = true;
    log_info("the application lives in the main interpreter, because it did not work in a sub-interpreter before (%s)",
             why_of(verdict));
}

static bool is_crash(int status)
{
    int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return signo == SIGSEGV || signo == SIGABRT || signo == SIGBUS;
}

/* It has to do with the machine or the configuration, in any interpreter. */
static bool is_elsewhere(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_CONF;
}

bool verdict_blames(const struct verdict *verdict, bool ready, int status, bool refused)
{
    if (verdict->state == VERDICT_SUB || verdict->state == VERDICT_NEW)
        return false;
    if (is_crash(status) || (refused && !ready))
        return true;
    return !ready && verdict->state != VERDICT_WORKS && !is_elsewhere(status);
}

bool verdict_refuse(struct verdict *verdict, const char *why, bool now)
{
    if (verdict->state != VERDICT_OPEN && verdict->state != VERDICT_WORKS)
        return false;
    set_state(verdict, VERDICT_TRYING);
    set_why(verdict, why);
    verdict->found = true;
    if (now)
        log_info("the application does not work in a sub-interpreter (%s): it moves to the main interpreter",
                 why_of(verdict));
    else
        log_debug("the application does not start in a sub-interpreter (%s): trying the main interpreter",
                  why_of(verdict));
    verdict->reported = now;
    return true;
}

bool verdict_ready(struct verdict *verdict, bool main_interpreter)
{
    if (!main_interpreter && verdict->state == VERDICT_OPEN)
        set_state(verdict, VERDICT_WORKS);
    if (!main_interpreter || verdict->state != VERDICT_TRYING)
        return false;
    set_state(verdict, VERDICT_MAIN);
    if (!verdict->reported)
        log_info("the application refuses sub-interpreters (%s): it lives in the main interpreter, which works",
                 why_of(verdict));
    return true;
}

bool verdict_main_failed(struct verdict *verdict)
{
    if (verdict->state != VERDICT_TRYING)
        return false;
    set_state(verdict, VERDICT_SUB);
    return true;
}

const char *verdict_name(const struct verdict *verdict)
{
    return verdict_is_main(verdict) ? "main" : "sub";
}

const char *verdict_because(const struct verdict *verdict)
{
    if (!verdict->found && verdict->why)
        return verdict->why;
    switch (verdict->state) {
    case VERDICT_NEW:
    case VERDICT_OPEN:
        return "it has not been ready yet";
    case VERDICT_WORKS:
        return "it works there";
    case VERDICT_TRYING:
    case VERDICT_MAIN:
        return verdict->found ? why_of(verdict) : "app.interpreter";
    case VERDICT_SUB:
        return verdict->found ? "the main interpreter failed as well" : "app.interpreter";
    }
    return "";
}
