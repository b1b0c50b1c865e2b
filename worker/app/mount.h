/* SPDX-License-Identifier: BSD-3-Clause */
/* mount.h: the applications of one worker: that of [app] and those of [mount:/prefix], one interpreter and one loop for
 * all of them. Loads them, starts them in order and stops them in reverse. Which request goes to which one is
 * decided by http/route.h. */
#ifndef TINE_APP_MOUNT_H
#define TINE_APP_MOUNT_H

#include <Python.h>
#include <stdbool.h>

#include "worker/app/interface.h"

struct conf;
struct conf_app;
struct handler;
struct mounts;

/* Whether Python has to answer for this one: false without a module, and for builtin:hello. */
bool mount_is_python(const struct conf_app *app);
bool mounts_any_python(const struct conf *conf);

/* How messages name it: "[mount:/api] "; "" for the only one there is. */
const char *mounts_label(const struct conf *conf, const struct conf_app *app, char *room, size_t n);

/* --- GIL held --- */

/* Runs the modules of all applications, [app] first, then in the order of the file. Touches no event base, so that the
 * process may fork afterwards. NULL: exception set; *ret_failed is the one that it is about, NULL if none. */
struct mounts *mounts_import(const struct interface_choice *interfaces, const struct conf *conf,
                             const struct conf_app **ret_failed);
/* Makes them ready to be called. `env` is copied; its app, prefix and tasks are each application's own. 0, or -1 with an
 * exception set. */
int mounts_open(struct mounts *m, const struct app_env *env, const struct conf_app **ret_failed);
/* Ends the requests and lifespans that still run; nothing of it is armed or called afterwards, but the loop may have turns
 * in which the applications' tasks end. */
void mounts_close(struct mounts *m);
/* After the loop's end. */
void mounts_free(struct mounts *m);

/* Who answers for it: one that mount_is_python(). */
struct handler *mounts_handler(const struct mounts *m, const struct conf_app *app);

/* One after the other. `done` comes once, unless mounts_stop() is called first. When one of them fails, those before it
 * have been stopped by then; `why` names it. */
void mounts_start(struct mounts *m, void (*done)(void *arg, enum interface_start result, const char *why), void *arg);
/* Those that were started, in reverse, one that is just starting included; `done` comes once. */
void mounts_stop(struct mounts *m, void (*done)(void *arg), void *arg);
/* Requests that still run; needs no GIL. */
unsigned mounts_running(const struct mounts *m);
/* The worker begins to drain; see interface.h. */
/* tasks_text_write() with what each task works for: "GET /path". 0, or -1 with an exception set. GIL held. */
int mounts_write_tasks(const struct mounts *m, PyObject *loop, PyObject *host, int fd);
void mounts_drain(struct mounts *m, bool service_stops);
/* The sum of all; `room` is that of the application that has the most. */
void mounts_count_threads(struct mounts *m, struct interface_threads *ret);
void mounts_cancel(struct mounts *m);

#endif
