/* SPDX-License-Identifier: BSD-3-Clause */
/* test_verdict.c: what counts against a sub-interpreter, and what follows. */
#include <signal.h>
#include <string.h>

#include "common/heritage.h"
#include "conf/conf.h"
#include "master/fleet/verdict.h"
#include "tests/unit/unit.h"

#define EXITED(status) ((status) << 8) /* of waitpid(2) */

static struct verdict made(enum conf_interpreter which, bool preload)
{
    const struct conf_app app = { .interpreter = which, .preload_app = preload };
    struct verdict verdict;
    verdict_init(&verdict, &app);
    return verdict;
}

static struct verdict open_verdict(void)
{
    struct verdict verdict = made(CONF_INTERPRETER_AUTO, false);
    verdict_recall(&verdict, NULL);
    return verdict;
}

static void test_what_is_configured_is_not_changed_by_experience(void)
{
    struct verdict sub = made(CONF_INTERPRETER_SUB, false), main = made(CONF_INTERPRETER_MAIN, false);
    struct verdict mold = made(CONF_INTERPRETER_AUTO, true), uvloop;
    verdict_init(&uvloop, &(struct conf_app){ .interpreter = CONF_INTERPRETER_AUTO, .loop = CONF_LOOP_UVLOOP });
    CHECK(verdict_is_main(&uvloop) && strcmp(verdict_because(&uvloop), "app.loop = uvloop") == 0);
    verdict_done(&uvloop);
    CHECK(!verdict_is_main(&sub) && verdict_is_main(&main) && verdict_is_main(&mold));
    CHECK(!verdict_blames(&sub, false, SIGSEGV, true) && !verdict_refuse(&sub, "x", true));
    CHECK(strcmp(verdict_because(&sub), "app.interpreter") == 0 &&
          strcmp(verdict_because(&mold), "app.preload_app") == 0);
    verdict_done(&sub);
    verdict_done(&main);
    verdict_done(&mold);
}

static void test_any_end_before_ready_counts_until_one_has_been_ready(void)
{
    struct verdict verdict = open_verdict();
    CHECK(verdict_blames(&verdict, false, EXITED(WORKER_EXIT_OK), false));
    CHECK(verdict_blames(&verdict, false, SIGKILL, false));
    CHECK(!verdict_blames(&verdict, false, EXITED(WORKER_EXIT_CONF), false));
    CHECK(!verdict_ready(&verdict, false));
    CHECK(!verdict_blames(&verdict, false, SIGKILL, false) && !verdict_blames(&verdict, true, SIGTERM, false));
    CHECK(verdict_blames(&verdict, true, SIGSEGV, false) && verdict_blames(&verdict, false, SIGABRT, false));
    CHECK(verdict_blames(&verdict, true, SIGBUS, false) && verdict_blames(&verdict, false, EXITED(5), true));
    verdict_done(&verdict);
}

static void test_main_is_tried_once_and_kept_if_it_works(void)
{
    struct verdict verdict = open_verdict();
    CHECK(verdict_refuse(&verdict, "Traceback:\n  File\nValueError: no\nTine: do this\n", false));
    CHECK(verdict_is_main(&verdict) && strcmp(verdict.why, "ValueError: no") == 0);
    CHECK(!verdict_refuse(&verdict, "another", false));
    CHECK(!verdict_ready(&verdict, false) && verdict_ready(&verdict, true) && !verdict_ready(&verdict, true));
    CHECK(!verdict_main_failed(&verdict) && verdict_is_main(&verdict));
    verdict_done(&verdict);
}

static void test_if_main_fails_as_well_nothing_else_is_tried(void)
{
    struct verdict verdict = open_verdict();
    CHECK(verdict_refuse(&verdict, "os.fork()", true) && verdict_main_failed(&verdict));
    CHECK(!verdict_is_main(&verdict) && !verdict_blames(&verdict, true, SIGSEGV, true));
    CHECK(!verdict_refuse(&verdict, "os.fork()", true));
    verdict_done(&verdict);
}

static void test_what_is_remembered_needs_no_try(void)
{
    struct verdict verdict = made(CONF_INTERPRETER_AUTO, false);
    CHECK(!verdict_is_main(&verdict));
    verdict_recall(&verdict, "picky: no");
    CHECK(verdict_is_main(&verdict) && strcmp(verdict_because(&verdict), "picky: no") == 0);
    CHECK(!verdict_ready(&verdict, true));
    verdict_done(&verdict);
}

int main(void)
{
    test_what_is_configured_is_not_changed_by_experience();
    test_any_end_before_ready_counts_until_one_has_been_ready();
    test_main_is_tried_once_and_kept_if_it_works();
    test_if_main_fails_as_well_nothing_else_is_tried();
    test_what_is_remembered_needs_no_try();
    return unit_done();
}
