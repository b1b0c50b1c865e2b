/* SPDX-License-Identifier: BSD-3-Clause */
/* control.h: the control socket: a Unix socket on which tinectl asks for figures and gives orders.
 * A client sends a line ("scale 4"), and gets a line of JSON with "ok" in it; then the next line.
 */
#ifndef TINE_MASTER_CONTROL_H
#define TINE_MASTER_CONTROL_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "master/control/control_parse.h"
#include "master/listen/listen.h"

struct buf;
struct bufferevent;
struct conf;
struct master;

#define CONTROL_CLIENTS_MAX 32

enum control_wait {
    CONTROL_WAIT_NOTHING,
    CONTROL_WAIT_RELOAD,
    CONTROL_WAIT_STACKS,
    CONTROL_WAIT_STOP, /* the end of its connection tells it */
};

struct control_client {
    TAILQ_ENTRY(control_client) link;
    struct master *master;
    struct bufferevent *io;
    pid_t pid;
    uid_t uid;
    enum control_wait waits; /* nothing is read from it until it has its answer */
    unsigned reload;         /* the end of which reload it waits for */
    unsigned stacks_of;      /* process id; 0: all */
    bool eof;                /* it sends no more */
    bool last;               /* the answer on its way is the last one */
};

struct control {
    struct listeners listeners; /* one, or none */
    unsigned mode;              /* of its file */
    struct event acceptable, pause;
    TAILQ_HEAD(control_clients, control_client) clients;
    unsigned n_clients;
    uint64_t n_refused, refused_ms; /* peers who may not speak; when that was last logged */
    bool prepared; /* by a reload under way: */
    struct listeners next;
};

/* Opens what control.socket names, if anything. 0, or -1 logged. */
int control_open(struct master *master) __attribute__((warn_unused_result));
/* Clients that wait for the end of the service see it when this process has ended. */
void control_close(struct master *master);

/* Binary upgrade: the new one is ready, or alone, and takes the path; the new one is gone, and the
 * old one takes it back. Logged when it fails: the service goes on. */
void control_take_over(struct master *master);
void control_take_back(struct master *master);

/* The steps of a reload. What cannot be opened fails it: 0, or -1 logged. */
int control_prepare(struct master *master, const struct conf *next) __attribute__((warn_unused_result));
void control_commit(struct master *master);
void control_rollback(struct master *master);
/* Tells those that waited for the reload number reload.begun, or one before. */
void control_reload_ended(struct master *master);
/* There will be none any more. */
void control_reload_cancelled(struct master *master);

/* --- control_client.c --- */

/* Takes fd. */
void control_client_open(struct master *master, int fd, pid_t pid, uid_t uid);
/* Sends a line of JSON (without its end) and goes on with the next request when it is sent. Takes
 * the contents of `line`. */
void control_client_answer(struct control_client *client, struct buf *line);
void control_client_free(struct control_client *client);
/* At the end of the process: sends what a socket takes at once, and leaves it to the kernel to tell
 * those that wait for our end. */
void control_client_leave(struct control_client *client);

/* --- control_commands.c --- */

/* Answers, or makes the client wait. */
void control_do(struct control_client *client, const struct control_request *request);
void control_answer_error(struct control_client *client, const char *why);

#endif
