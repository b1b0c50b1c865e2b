/* SPDX-License-Identifier: BSD-3-Clause */
/* rig.h: a worker's net without sockets of the network: connections over socket pairs, driven step by step by the test,
 * so that each byte arrives when the test says so. */
#ifndef TINE_TESTS_RIG_H
#define TINE_TESTS_RIG_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/heritage.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/http/site.h"
#include "worker/net/conn.h"

struct rig {
    struct event_base *base;
    struct conf conf;
    struct score score;
    struct listener listener;
    struct net net;
    struct site site;
};

/* The client's side of a connection. */
struct peer {
    struct rig *rig;
    int fd;
    struct buf got; /* all bytes received */
    bool eof, reset;
};

/* Short defaults; change rig->conf before the first connection. */
void rig_init(struct rig *rig, struct handler *handler);
void rig_done(struct rig *rig);
/* Lets the server do everything that it can do now. */
void rig_pump(struct rig *rig);

void peer_open(struct peer *p, struct rig *rig);
/* With a socket of small buffers, so that few bytes fill it. */
void peer_open_narrow(struct peer *p, struct rig *rig);
/* Sends all of it (blocking sockets are pumped) and lets the server work. */
void peer_send(struct peer *p, const void *bytes, size_t n);
void peer_say(struct peer *p, const char *text);
/* Reads what is there, at most `most` bytes. */
void peer_read(struct peer *p, size_t most);
void peer_read_all(struct peer *p);
/* Waits, with a deadline, until the server closes. False: it did not. */
bool peer_wait_eof(struct peer *p);
void peer_shut(struct peer *p);
void peer_close(struct peer *p);
/* The text got so far, terminated. */
const char *peer_text(struct peer *p);
bool peer_has(struct peer *p, const char *text);
/* Times that `text` was got. */
unsigned peer_count(struct peer *p, const char *text);

#endif
