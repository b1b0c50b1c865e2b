/* SPDX-License-Identifier: BSD-3-Clause */
/* control_priv.h: one client of the control socket, between the files of this room. */
#ifndef TINE_MASTER_CONTROL_CONTROL_PRIV_H
#define TINE_MASTER_CONTROL_CONTROL_PRIV_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/json_out.h"
#include "master/control/control.h"
#include "master/control/control_parse.h"

#define CONTROL_CLIENTS_MAX 32

struct bufferevent;

enum control_wait {
    CONTROL_WAIT_NOTHING,
    CONTROL_WAIT_RELOAD,
    CONTROL_WAIT_STACKS,
    CONTROL_WAIT_STOP, /* the end of its connection is the answer */
};

struct control_client {
    TAILQ_ENTRY(control_client) link;
    struct control *control;
    struct bufferevent *io;
    /* A whole line has come. Answers, or makes the client wait. */
    void (*on_request)(struct control_client *client, const struct control_request *request);
    pid_t pid;
    uid_t uid;
    enum control_wait waits; /* nothing is read from it until it has its answer */
    unsigned reload;         /* the end of which reload it waits for */
    unsigned stacks_of;      /* process id; 0: all */
    bool wants_tasks;        /* and not the stacks of threads */
    bool eof;                /* it sends no more */
    bool last;               /* the answer on its way is the last one */
};

/* --- control_answer.c --- */

struct control_answer {
    struct buf line;
    struct json_out j;
};

/* An object with "ok" in it, for more members. */
struct json_out *control_answer_begin(struct control_answer *answer, bool ok);
/* Ends the object and sends the line; the client waits for nothing any more. */
void control_answer_end(struct control_answer *answer, struct control_client *client);
/* "ok" false and the reason; works without memory for more. */
void control_answer_error(struct control_client *client, const char *why);

/* --- control_stacks.c --- */

/* The client waits for the stacks, or the tasks, of the worker with this process id, or of all (0). */
void control_stacks_ask(struct control_client *client, bool tasks, unsigned pid);
/* The client is going. */
void control_stacks_forget(struct control_client *client);

/* --- control_client.c --- */

/* Takes fd. */
void control_client_open(struct control *control, int fd, pid_t pid, uid_t uid,
                         void (*on_request)(struct control_client *, const struct control_request *));
void control_client_free(struct control_client *client);
/* At the end of the process: sends what the socket takes at once, and leaves it to the kernel to tell those that wait for
 * our end. */
void control_client_leave(struct control_client *client);

/* --- control_commands.c --- */

/* Answers, or makes the client wait. */
void control_do(struct control_client *client, const struct control_request *request);

#endif
