/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_lws_priv.h: what the files of the libwebsockets engine share.
 *
 * libwebsockets reads, checks and unmasks frames and owns the socket. Everything that is sent are bytes of ours, given
 * to lws_write() as LWS_WRITE_HTTP, which it sends as they are after what it has buffered: so frames of a turn leave
 * together, back-pressure is that of any connection, and a Close frame holds what the session wants.
 */
#ifndef TINE_WS_WS_LWS_PRIV_H
#define TINE_WS_WS_LWS_PRIV_H

#include <assert.h>
#include <event2/event_struct.h>
#include <libwebsockets.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "worker/net/conn.h"
#include "worker/ws/ws_engine.h"

/* A read of libwebsockets, and the buffer that it holds for each connection: large enough that a message of usual size
 * comes in one, small enough for thousands of idle ones. */
#define WSL_READ_SIZE 2048
#define WSL_PIECE (64u << 10) /* given to libwebsockets at once; it copies what the socket does not take */

struct wsl_lane;
TAILQ_HEAD(wsl_lanes, wsl_lane);

/* Per worker. */
struct wsl_worker {
    struct net *net;
    struct lws_context *context;
    struct lws_vhost *vhost;
    uv_loop_t uv;
    struct event uv_ready, again, timer; /* all of them pump */
    bool in_pump;
    bool dirty;                /* libwebsockets changed what it waits for: the kernel does not know yet */
    int max_fds;               /* descriptors from here on cannot be adopted */
    struct wsl_lane *adopting; /* whose handshake libwebsockets is reading */
    struct wsl_lanes waiting;  /* to be adopted in the next turn */
    struct wsl_lanes doomed;   /* their connections are gone: libwebsockets has to close */
    char piece[WSL_PIECE];     /* where separate bytes are put together */
};

enum wsl_state {
    WSL_WAITING, /* the socket is still the connection's */
    WSL_OPEN,    /* libwebsockets has it */
    WSL_CLOSING, /* libwebsockets closes it by itself, with its own Close frame */
    WSL_CLOSED   /* libwebsockets is done with it */
};

/* Per connection; lives until both the session and libwebsockets have let go. */
struct wsl_lane {
    struct ws_link *link; /* NULL after free */
    struct lws *wsi;      /* NULL before adoption and after its end */
    struct wsl_worker *worker;
    int fd;               /* since adoption: libwebsockets closes it */
    enum wsl_state state;
    bool deaf;            /* the session wants nothing more */
    bool said_close;      /* our Close frame was given to the connection */
    bool paused;
    bool inside_frame, compressed;
    bool is_doomed;
    uint32_t thrown_away; /* bytes since it is deaf */
    TAILQ_ENTRY(wsl_lane) entry; /* of waiting or doomed */
};

/* Only forward. */
static inline void wsl_set_state(struct wsl_lane *lane, enum wsl_state state)
{
    assert(state >= lane->state);
    lane->state = state;
}

/* ws_lws_lane.c. After a call that may change what libwebsockets waits for. */
void wsl_wake(struct wsl_worker *w);
/* Has libwebsockets close the lane's socket, outside its callbacks. */
void wsl_doom(struct wsl_lane *lane);
/* Frees the lane if neither the session nor libwebsockets has it any more. */
void wsl_lane_unref(struct wsl_lane *lane);

/* ws_lws_wsi.c */
extern const struct lws_protocols wsl_protocols[];
extern const struct lws_extension wsl_extensions[];

/* ws_lws_out.c */
extern const struct transport_ops transport_lws;

/* ws_lws_adopt.c: lends the waiting connections whose 101 has left. True: some have to wait for their sockets. */
bool wsl_adopt_waiting(struct wsl_worker *w);

/* ws_lws_loop.c */
void *wsl_start(struct net *net);
void wsl_stop(void *shared);

#endif
