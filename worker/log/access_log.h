/* SPDX-License-Identifier: BSD-3-Clause */
/* access_log.h: one line per request in gunicorn's atoms or JSON, formatted by a program compiled once from the format.
 *
 * Lines are collected and written as whole lines at the end of a loop turn by access_log_flush(); never torn between
 * workers, never blocking on a full pipe or a busy log daemon (dropped and counted beyond 1 MB). */
#ifndef TINE_HTTP_ACCESS_LOG_H
#define TINE_HTTP_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct access_log;
struct conf_list;
struct req;

/* dest: as log_dest_parse() reads it; a relative path counts from `folder`, a descriptor or AT_FDCWD. format: gunicorn's
 * atoms or "json". name: of the program, for a log daemon, which need not be there yet. NULL with errno. */
struct access_log *access_log_open(const char *dest, int folder, const char *format, const char *name);
void access_log_free(struct access_log *log);
int access_log_reopen(struct access_log *log);
/* False: the file that it writes to was closed by other code. */
bool access_log_is_whole(const struct access_log *log);

/* Whether the format needs fields of the answer ({x}o): the response then fills req->logged_fields. */
bool access_log_wants_fields(const struct access_log *log);

/* Paths ("/healthz"; a star at the end is any rest) whose requests are not logged unless they fail; the list stays the caller's. */
void access_log_exclude(struct access_log *log, const struct conf_list *paths);
/* The request has ended: duration_ns since req->started_ns. False: there was no room for the line, which is counted. */
bool access_log_add(struct access_log *log, const struct req *r, uint64_t duration_ns);
/* False: lines are left that cannot be written now. */
bool access_log_flush(struct access_log *log);
/* At the end: waits up to half a second for a slow reader. */
void access_log_finish(struct access_log *log);
uint64_t access_log_dropped(const struct access_log *log);

#endif
