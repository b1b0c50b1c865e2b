/* SPDX-License-Identifier: BSD-3-Clause */
/* experience.c: see experience.h. Decides nothing about processes. */
#include "master/fleet/experience.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "conf/conf.h"
#include "master/fleet/births.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"

static struct verdict *verdict_of(const struct slot *slot)
{
    return &slot->generation->verdict;
}

/* --- messages --- */

static void log_failure(const struct slot *slot, enum log_level level, const char *text, size_t n)
{
    char first[80];
    snprintf(first, sizeof(first), "worker %u (pid %d) failed to start:", slot->index + 1, (int)slot->pid);
    log_block(level, first, text, n);
}

static void report(struct slot *slot, const char *text, size_t n)
{
    log_failure(slot, LOG_LEVEL_ERROR, text, n);
    slot->failure_logged = true;
    slot->fleet->events->fault(slot->fleet->arg, text);
    slot->fleet->events->said(slot->fleet->arg, slot->generation, text, n);
}

static void keep_back(struct slot *slot, const char *text, size_t n)
{
    free(slot->failure);
    slot->failure = strndup(text, n);
}

void experience_failed(struct slot *slot, const char *text, size_t n)
{
    if (!slot->main_interpreter && !slot->ready_ms && verdict_blames(verdict_of(slot), false, 0, slot->refused))
        keep_back(slot, text, n);
    else
        report(slot, text, n);
}

void experience_refused(struct slot *slot, const char *text, size_t n)
{
    slot->refused = true;
    if (slot->ready_ms)
        verdict_refuse(verdict_of(slot), text, true);
    else
        keep_back(slot, text, n);
}

/* --- ready, and the end --- */

void experience_ready(struct slot *slot)
{
    const struct generation *generation = slot->generation;
    const struct verdict *verdict = verdict_of(slot);
    if (verdict_ready(verdict_of(slot), slot->main_interpreter) && verdict->why && generation->environment)
        verdicts_add(&slot->fleet->verdicts, generation->conf, verdict->why, generation->environment);
}

static void refuse(struct slot *slot, const char *words)
{
    char end[EXIT_WORDS + 40];
    if (slot->state == SLOT_KILLED && !slot->ready_ms)
        snprintf(end, sizeof(end), "a worker was not ready after %.3g s",
                 (double)slot->generation->conf->server.boot_timeout / 1000.0);
    else
        snprintf(end, sizeof(end), "a worker %s%s", words, slot->ready_ms ? "" : " before it was ready");
    if (slot->failure)
        log_failure(slot, LOG_LEVEL_DEBUG, slot->failure, strlen(slot->failure));
    verdict_refuse(verdict_of(slot), slot->failure ? slot->failure : end, slot->ready_ms);
}

void experience_ended(struct slot *slot, bool blamed, bool boot, const char *words)
{
    if (blamed)
        refuse(slot, words);
    else if (slot->failure)
        report(slot, slot->failure, strlen(slot->failure));
    if (boot && slot->main_interpreter && !slot_is_on_trial(slot) && verdict_main_failed(verdict_of(slot)))
        log_error("the application does not start in the main interpreter either: it stays in sub-interpreters");
}
