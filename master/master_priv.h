/* SPDX-License-Identifier: BSD-3-Clause */
/* master_priv.h: between the files that make up the master. */
#ifndef TINE_MASTER_MASTER_PRIV_H
#define TINE_MASTER_MASTER_PRIV_H

#include "master/master.h"
#include "master/orders.h"

/* --- master_state.c --- */

/* The only way to change the state of the service; a step that is not in its table is a bug. */
void master_set_state(struct master *master, enum service_state state);
/* How many workers are ready, for the service manager; `assignments` stand before it: "", or lines of their own. */
void master_send_status(const struct master *master, const char *assignments);
/* The same while RUNNING; in other states the manager has been told something else. */
void master_update_status(const struct master *master);
/* Once a tick: the sign of life that the manager expects, if at least one worker is healthy, or none has to be. */
void master_ping_manager(struct master *master, unsigned healthy);
/* STOPPING, and nothing is left to wait for. */
bool master_has_ended(const struct master *master);
/* Leaves the event loop then. */
void master_end_if_over(const struct master *master);

/* Something went wrong with a worker: for the status, and, where the error log goes elsewhere, for standard error, which a
 * service manager keeps. */
void master_note_fault(struct master *master, const char *why);
/* While the service starts or reloads: the service manager is to be patient. Once a tick. */
void master_ask_for_patience(const struct master *master);

/* --- master_stop.c --- */

void master_begin_stop(struct master *master, bool quick);
void master_stop(struct master *master, bool quick);
/* libevent callback: server.drain_delay has passed. */
void master_on_leave_timer(evutil_socket_t fd, short what, void *master);

/* --- master_events.c --- */

extern const struct fleet_events master_fleet_events;
extern const struct reload_events master_reload_events;
extern const struct upgrade_events master_upgrade_events;
/* libevent callbacks of master->heir_proof and master->settle. */
void master_on_heir_proof(evutil_socket_t fd, short what, void *master);
void master_on_settle(evutil_socket_t fd, short what, void *master);
/* server.reload: a file has changed. */
void master_on_files_changed(void *master);

/* --- master_orders.c --- */

extern const struct orders master_orders;
/* Deals with every child that has ended. */
void master_collect_children(struct master *master);

#endif
