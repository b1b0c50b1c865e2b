/* SPDX-License-Identifier: BSD-3-Clause */
/* reload.c: must never touch the serving generation before the new one has proved itself.
 *
 * Old generations drain for up to graceful_timeout; at most OLD_MOST of them do at a time, so that a storm of reloads
 * cannot pile up processes: the next one waits for an end. */
#include "master/reload.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "conf/conf.h"
#include "conf/conf_load.h"
#include "master/fleet/workers.h"
#include "master/reload_part.h"
#include "master/service.h"

#define OLD_MOST 2
#define OLD_SERVE "old workers keep serving"

/* --- the parts --- */

/* The last `n` of those that were prepared, in reverse order. */
static void roll_back(struct reload *reload, struct generation *next, size_t n)
{
    while (n-- > 0)
        if (reload->parts[n].rollback)
            reload->parts[n].rollback(reload->arg, next);
}

static size_t count_parts(const struct reload *reload)
{
    size_t n = 0;
    while (reload->parts[n].name)
        n++;
    return n;
}

/* 0, or -1: everything is as it was, and *ret_why says why (NULL: out of memory). */
static int prepare(struct reload *reload, struct generation *next, char **ret_why)
{
    for (size_t i = 0; reload->parts[i].name; i++) {
        const struct reload_part *part = &reload->parts[i];
        if (!part->prepare || part->prepare(reload->arg, next, ret_why) == 0)
            continue;
        roll_back(reload, next, i);
        return -1;
    }
    return 0;
}

/* --- how it went --- */

static void set_error(struct reload_outcome *outcome, char *error)
{
    free(outcome->error);
    outcome->error = error;
}

/* It is neither current nor next any more: ends with its last worker. */
static void retire(struct reload *reload, struct generation *generation)
{
    LIST_INSERT_HEAD(&reload->ending, generation, link);
    workers_stop_generation(&reload->service->fleet, generation, false);
}

/* Takes `error`, which may have many lines. */
static void end_failed(struct reload *reload, char *error, const char *who)
{
    struct reload_outcome *outcome = &reload->service->reload;
    outcome->failed++;
    outcome->ended_at = time(NULL);
    outcome->last_failed = true;
    set_error(outcome, error);
    log_error("reload failed: %s", reload->service->fleet.paused ? "there are still no workers" : who);
    reload->events->ended(reload->arg);
}

/* No generation boots any more. The one that did, or NULL. */
static struct generation *give_up_next(struct reload *reload)
{
    struct fleet *fleet = &reload->service->fleet;
    struct generation *next = fleet->next;
    fleet->next = NULL;
    evtimer_del(&reload->proof);
    if (next)
        roll_back(reload, next, count_parts(reload));
    return next;
}

/* --- the new configuration --- */

static void on_kept(void *arg, const char *key, const char *kept, const char *refused)
{
    log_warning("reload: %s stays %s until a restart, and does not become %s", key, *kept ? kept : "unset",
                *refused ? refused : "unset");
    struct reload_outcome *outcome = arg;
    char *more;
    if (asprintf(&more, "%s%s\n", outcome->kept ? outcome->kept : "", key) < 0)
        return;
    free(outcome->kept);
    outcome->kept = more;
}

/* What TTIN and TTOU made of it stays unless the configuration changes its mind. */
static void keep_target(const struct generation *current, struct generation *next)
{
    if (next->conf->server.workers == current->conf->server.workers)
        next->target = current->target;
}

/* NULL: *ret_error says why (NULL: out of memory); it has been logged. */
static struct generation *load(struct reload *reload, char **ret_error)
{
    struct service *service = reload->service;
    struct generation *current = service->fleet.current;
    struct conf_loaded *loaded = NULL;
    if (conf_load(reload->cli, &loaded, ret_error) < 0) {
        const char *text = *ret_error ? *ret_error : "out of memory";
        log_block(LOG_LEVEL_ERROR, "reload: the configuration is wrong:", text, strlen(text));
        return NULL;
    }
    free(service->reload.kept);
    service->reload.kept = NULL;
    if (conf_keep_restart_keys(loaded, current->loaded, on_kept, &service->reload) < 0) {
        conf_loaded_free(loaded);
        *ret_error = strdup("out of memory");
        return NULL;
    }
    struct generation *next = generation_new(loaded, service->reload.done + service->reload.failed + 2);
    if (next)
        keep_target(current, next);
    return next;
}

/* --- the steps --- */

/* Without old workers there is nothing to replace, and in development what was just saved is to serve at once. */
static bool may_roll(const struct service *service, const struct generation *next)
{
    return next->conf->server.reload_strategy == CONF_RELOAD_ROLLING && !next->conf->server.reload &&
           !service->fleet.paused && roll_ready(&service->fleet);
}

static void begin_reload(struct reload *reload)
{
    struct service *service = reload->service;
    char *error = NULL;
    reload->wanted = reload->waits = false;
    service->reload.begun++;
    log_info("reloading");
    reload->events->began(reload->arg);
    struct generation *next = load(reload, &error);
    if (!next || prepare(reload, next, &error) < 0) {
        generation_free(next);
        end_failed(reload, error, OLD_SERVE);
        return;
    }
    service->fleet.next = next;
    if (may_roll(service, next))
        roll_begin(&service->fleet);
    free(reload->words);
    reload->words = NULL;
    workers_fill(&service->fleet, next);
}

static void commit(struct reload *reload)
{
    struct service *service = reload->service;
    struct fleet *fleet = &service->fleet;
    struct generation *old = fleet->current, *now = fleet->next;
    service->reload.done++;
    service->reload.ended_at = time(NULL);
    service->reload.last_failed = false;
    set_error(&service->reload, NULL);
    keep_target(old, now);
    fleet->next = NULL;
    fleet->current = now;
    fleet->paused = false;
    roll_end(fleet);
    told_add(fleet, &(const struct ipc_hook){ .name = IPC_HOOK_ON_RELOAD });
    for (const struct reload_part *part = reload->parts; part->name; part++)
        if (part->commit)
            part->commit(reload->arg, old, now);
    log_info("reloaded: generation %u serves", now->number);
    retire(reload, old);
    workers_fit(fleet);
    reload->events->ended(reload->arg);
}

/* All of the next generation's workers that are READY have proved themselves. */
static void advance(struct reload *reload)
{
    struct fleet *fleet = &reload->service->fleet;
    if (slots_ready(&fleet->slots, fleet->next) >= fleet->next->target) {
        commit(reload);
    } else {
        roll_forward(fleet);
        reload->events->advanced(reload->arg);
    }
}

/* As many of the next generation are READY as it may have for now. */
static bool has_to_prove(const struct reload *reload)
{
    const struct fleet *fleet = &reload->service->fleet;
    return fleet->next &&
           (fleet->roll.on ? roll_has_news(fleet) : slots_ready(&fleet->slots, fleet->next) >= fleet->next->target);
}

/* One that is busy dying, or stuck, has not proved itself: its end or its next sign of life decides. One that has moved to
 * the main interpreter meanwhile begins the proof again when it is READY there. */
static void on_proof(evutil_socket_t fd, short what, void *arg)
{
    struct reload *reload = arg;
    const struct fleet *fleet = &reload->service->fleet;
    struct timeval again = timeval_of_ms(PROOF_AGAIN_MS);
    if (!has_to_prove(reload))
        return;
    if (watchdog_all_alive(fleet, fleet->next, reload->proof_since_ms) || evtimer_add(&reload->proof, &again) < 0)
        advance(reload);
}

void reload_worker_ready(struct reload *reload)
{
    const struct fleet *fleet = &reload->service->fleet;
    const struct generation *next = fleet->next;
    struct timeval proof = timeval_of_ms(WORKER_PROOF_MS);
    if (!has_to_prove(reload))
        return;
    reload->proof_since_ms = clock_ms();
    /* Without memory for the timer it serves at once. */
    if (next->conf->server.reload || evtimer_add(&reload->proof, &proof) < 0)
        advance(reload);
}

void reload_worker_said(struct reload *reload, const char *text, size_t n)
{
    free(reload->words);
    reload->words = strndup(text, n);
}

/* Those of its workers that are READY may have taken requests: they drain. */
void reload_fail(struct reload *reload, const char *why)
{
    struct fleet *fleet = &reload->service->fleet;
    struct generation *next = give_up_next(reload);
    char *error = reload->words ? reload->words : strdup(why);
    reload->words = NULL;
    bool part_way = roll_give_up(fleet, next);
    retire(reload, next);
    end_failed(reload, error, part_way ? "old workers come back, one at a time" : OLD_SERVE);
    births_continue(fleet);
}

void reload_cancel(struct reload *reload)
{
    struct generation *next = give_up_next(reload);
    reload->wanted = false;
    if (!next)
        return;
    roll_give_up(&reload->service->fleet, next);
    retire(reload, next);
}

/* --- when --- */

/* One that lingers is ended by the reload that takes its place. */
static unsigned n_ending(const struct reload *reload)
{
    const struct generation *generation;
    unsigned n = 0;
    LIST_FOREACH (generation, &reload->ending, link)
        n += !generation->lingers;
    return n;
}

static void begin_if_possible(struct reload *reload)
{
    const struct service *service = reload->service;
    if (!reload->wanted || service->state != SERVICE_RUNNING)
        return;
    if (n_ending(reload) < OLD_MOST && slots_free(&service->fleet.slots) >= service->fleet.current->target) {
        begin_reload(reload);
    } else if (!reload->waits) {
        reload->waits = true;
        log_info("reload waits until workers of earlier generations have ended");
    }
}

void reload_request(struct reload *reload)
{
    enum service_state state = reload->service->state;
    if (state == SERVICE_STOPPING || state == SERVICE_LEAVING)
        return;
    if (state != SERVICE_RUNNING && !reload->wanted)
        log_info("reload queued until the current %s finishes", state == SERVICE_STARTING ? "start" : "reload");
    reload->wanted = true;
    begin_if_possible(reload);
}

static void free_ended(struct reload *reload, bool all)
{
    struct generation *generation, *following;
    for (generation = LIST_FIRST(&reload->ending); generation; generation = following) {
        following = LIST_NEXT(generation, link);
        if (generation->n_slots && !all)
            continue;
        log_debug("generation %u has ended", generation->number);
        LIST_REMOVE(generation, link);
        generation_free(generation);
    }
}

void reload_settle(struct reload *reload)
{
    free_ended(reload, false);
    begin_if_possible(reload);
}

/* --- birth and end --- */

void reload_init(struct reload *reload, struct service *service, const struct conf_cli *cli,
                 const struct reload_part *parts, const struct reload_events *events, void *arg)
{
    *reload = (struct reload){ .service = service, .cli = cli, .parts = parts, .events = events, .arg = arg };
    LIST_INIT(&reload->ending);
    evtimer_assign(&reload->proof, service->fleet.base, on_proof, reload);
}

void reload_done(struct reload *reload)
{
    if (!reload->service)
        return;
    evtimer_del(&reload->proof);
    free_ended(reload, true);
    free(reload->words);
    set_error(&reload->service->reload, NULL);
    free(reload->service->reload.kept);
    reload->service->reload.kept = NULL;
    reload->words = NULL;
}
