/* SPDX-License-Identifier: BSD-3-Clause */
/* reload.c: see reload.h. Must never touch the serving generation before the new one is ready.
 *
 * Old generations drain for up to graceful_timeout; at most OLD_MOST of them do at a time, so that
 * a storm of reloads cannot pile up processes: the next one waits for an end.
 */
#include "master/reload.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "conf/conf.h"
#include "conf/conf_load.h"
#include "master/system/apply.h"
#include "master/control/control.h"
#include "master/fleet/generation.h"
#include "master/metrics/metrics.h"
#include "master/master.h"
#include "master/fleet/seats.h"
#include "master/fleet/slots.h"
#include "master/fleet/workers.h"

#define OLD_MOST 2

/* --- how it went --- */

static void set_error(struct reload *reload, char *error)
{
    free(reload->error);
    reload->error = error;
}

/* RELOADING=1 was sent: the service manager waits for READY=1 whatever came of it. */
static void tell_end(struct master *master)
{
    master->state = MASTER_RUNNING;
    master_tell_status(master, master->started ? "READY=1\n" : "");
    control_reload_ended(master);
    reload_try(master);
}

/* Takes `error`, which may have many lines. */
static void end_failed(struct master *master, char *error)
{
    struct reload *reload = &master->reload;
    reload->failed++;
    reload->ended_at = time(NULL);
    reload->last_failed = true;
    set_error(reload, error);
    log_error("reload failed: %s", master->paused ? "there are no workers still" : "the old workers go on");
    tell_end(master);
}

/* --- the new configuration --- */

static void on_kept(void *arg, const char *key, const char *kept, const char *refused)
{
    log_warning("reload: %s stays %s until a restart, and does not become %s", key, *kept ? kept : "unset",
                *refused ? refused : "unset");
}

/* What TTIN and TTOU made of it stays unless the configuration changes its mind. */
static void keep_target(const struct generation *current, struct generation *next)
{
    if (next->conf->server.workers == current->conf->server.workers)
        next->target = current->target;
}

/* NULL: *ret_error says why (NULL: out of memory); it has been logged. */
static struct generation *load(struct master *master, char **ret_error)
{
    struct generation *current = master->current;
    struct conf_loaded *loaded = NULL;
    if (conf_load(master->cli, &loaded, ret_error) < 0) {
        const char *text = *ret_error ? *ret_error : "out of memory";
        log_block(LOG_LEVEL_ERROR, "reload: the configuration is wrong:", text, strlen(text));
        return NULL;
    }
    if (conf_keep_restart_keys(loaded, current->loaded, on_kept, NULL) < 0) {
        conf_loaded_free(loaded);
        *ret_error = strdup("out of memory");
        return NULL;
    }
    struct generation *next = generation_new(loaded, master->reload.done + master->reload.failed + 2);
    if (next)
        keep_target(current, next);
    return next;
}

/* The sockets of `next`: those of the current one and new ones. 0, or -1 logged. */
static int open_listeners(struct master *master, struct generation *next)
{
    struct listen_passed none = { 0 };
    return listeners_open(&next->listeners, &master->current->listeners, next->conf, &master->privs, &none);
}

/* --- the steps --- */

static void begin(struct master *master)
{
    struct reload *reload = &master->reload;
    char *error = NULL;
    reload->wanted = reload->waits = false;
    reload->begun++;
    master->state = MASTER_RELOADING;
    log_info("reloading");
    notify_send(&master->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading", clock_ns() / 1000);
    struct generation *next = load(master, &error);
    if (!next) {
        end_failed(master, error);
        return;
    }
    const char *what = open_listeners(master, next) < 0          ? "a bind"
                       : control_prepare(master, next->conf) < 0 ? "control.socket"
                                                                 : NULL;
    if (what) {
        generation_free(next);
        if (asprintf(&error, "%s of the new configuration cannot be opened; see the log", what) < 0)
            error = NULL;
        end_failed(master, error);
        return;
    }
    if (certs_open(&next->certs, next->conf, &error) < 0) {
        log_error("reload: %s", error ? error : "out of memory");
        generation_free(next);
        end_failed(master, error);
        return;
    }
    apply_limits(next->conf);
    apply_log_owner(next->conf, &master->privs);
    reload->next = next;
    free(reload->words);
    reload->words = NULL;
    workers_fill(master, next);
}

static void commit(struct master *master)
{
    struct reload *reload = &master->reload;
    struct generation *old = master->current, *next = reload->next;
    const struct conf_log *before = &old->conf->log, *now = &next->conf->log;
    bool log_changed = before->loglevel != now->loglevel || strcmp(before->errorlog, now->errorlog) != 0;
    reload->next = NULL;
    reload->done++;
    reload->ended_at = time(NULL);
    reload->last_failed = false;
    set_error(reload, NULL);
    master_started(master);
    master->current = next;
    master->paused = false;
    master->conf = next->conf;
    master->n_old++;
    if (log_changed && apply_log(next->conf) < 0)
        log_error("the error log stays %s", before->errorlog);
    apply_title(master);
    listeners_replace(&old->listeners, &next->listeners);
    control_commit(master);
    log_info("reloaded: generation %u serves", next->number);
    keep_target(old, next);
    seats_follow(master);
    workers_stop_generation(master, old, false);
    workers_fit(master);
    metrics_follow(master);
    tell_end(master);
}

void reload_worker_ready(struct master *master)
{
    struct generation *next = master->reload.next;
    if (slots_ready(&master->slots, next) >= next->target)
        commit(master);
}

void reload_worker_said(struct master *master, const char *text, size_t n)
{
    free(master->reload.words);
    master->reload.words = strndup(text, n);
}

/* Those of its workers that are READY may have taken requests: they drain. */
void reload_fail(struct master *master, const char *why)
{
    struct reload *reload = &master->reload;
    struct generation *next = reload->next;
    char *error = reload->words ? reload->words : strdup(why);
    reload->words = NULL;
    reload->next = NULL;
    master->n_old++;
    listeners_close(&next->listeners);
    control_rollback(master);
    workers_stop_generation(master, next, false);
    end_failed(master, error);
}

/* --- when --- */

void reload_try(struct master *master)
{
    struct reload *reload = &master->reload;
    if (!reload->wanted || master->state != MASTER_RUNNING)
        return;
    if (master->n_old < OLD_MOST && slots_free(&master->slots) >= master->current->target) {
        begin(master);
    } else if (!reload->waits) {
        reload->waits = true;
        log_info("reload waits until workers of earlier ones have ended");
    }
}

void reload_request(struct master *master)
{
    if (master->state == MASTER_STOPPING || master->state == MASTER_LEAVING)
        return;
    if (master->state != MASTER_RUNNING && !master->reload.wanted)
        log_info("reload follows when the present %s is over", master->state == MASTER_STARTING ? "start" : "reload");
    master->reload.wanted = true;
    reload_try(master);
}

void reload_hurry(struct master *master)
{
    if (master->state == MASTER_RELOADING) {
        log_info("the reload under way is given up for a newer one");
        reload_cancel(master);
        master->state = MASTER_RUNNING;
    }
    reload_request(master);
}

void reload_cancel(struct master *master)
{
    struct generation *next = master->reload.next;
    master->reload.wanted = false;
    master->reload.next = NULL;
    control_rollback(master);
    control_reload_cancelled(master);
    if (!next)
        return;
    master->n_old++;
    listeners_close(&next->listeners);
    workers_stop_generation(master, next, false);
}

void reload_done(struct reload *reload)
{
    free(reload->words);
    free(reload->error);
    reload->words = reload->error = NULL;
}
