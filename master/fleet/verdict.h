/* SPDX-License-Identifier: BSD-3-Clause */
/* verdict.h: which interpreter the application of a generation lives in, and how that was found out. With interpreter =
 * auto by experience: the first life that a sub-interpreter ends leads to one in the main interpreter, and if that
 * works, to all further ones. */
#ifndef TINE_MASTER_FLEET_VERDICT_H
#define TINE_MASTER_FLEET_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

struct conf_app;

enum verdict_state {
    VERDICT_NEW, /* auto, and it is not known yet whether something is remembered */
    VERDICT_OPEN, /* sub-interpreters; any end of a life there before READY counts against them */
    VERDICT_WORKS, /* one has been READY in a sub-interpreter; what counts now is a refusal or a crash */
    VERDICT_TRYING, /* the main interpreter, in which none has been READY yet */
    VERDICT_MAIN, /* the main interpreter: configured, remembered, or it has worked */
    VERDICT_SUB, /* sub-interpreters and nothing else: configured, or the main interpreter has failed as well */
};

struct verdict {
    enum verdict_state state;
    bool found; /* by experience, now or earlier: not by the configuration */
    bool reported; /* that the main interpreter is used is in the log */
    char *why; /* one line without control characters; NULL: nothing to say, or out of memory */
};

/* From app.interpreter and app.preload_app. */
void verdict_init(struct verdict *verdict, const struct conf_app *app);
void verdict_done(struct verdict *verdict);

/* Whether a process that is born now gets the main interpreter. */
bool verdict_is_main(const struct verdict *verdict);
/* What was remembered before the first birth; NULL: nothing. */
void verdict_recall(struct verdict *verdict, const char *why);
/* Whether the end of a life in a sub-interpreter, which we did not ask for, earns it one in the main interpreter.
 * `ready`: it had been READY; `status` of waitpid(2); `refused`: it has said that something refuses sub-interpreters. */
bool verdict_blames(const struct verdict *verdict, bool ready, int status, bool refused);
/* A sub-interpreter will not do, for the reason in the last line of `why`; only the first one is kept. `now`: it is logged
 * at once; else when the main interpreter works. False: that was known, or nothing is to be tried. */
bool verdict_refuse(struct verdict *verdict, const char *why, bool now);
/* A worker is READY in that interpreter. True: that the main one works is news, and worth remembering. */
bool verdict_ready(struct verdict *verdict, bool main_interpreter);
/* A life in the main interpreter has ended before READY. True: it was the try, and sub-interpreters are used again. */
bool verdict_main_failed(struct verdict *verdict);

/* "main", "sub" */
const char *verdict_name(const struct verdict *verdict);
/* Why, in words for tinectl; never NULL. */
const char *verdict_because(const struct verdict *verdict);

#endif
