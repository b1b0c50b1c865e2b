/* SPDX-License-Identifier: BSD-3-Clause */
/* proto.h: the seam between a connection and the protocol that speaks on it. Tables are listed in worker/protocols.c. */
#ifndef TINE_NET_PROTO_H
#define TINE_NET_PROTO_H

#include <stddef.h>

struct conn;

enum conn_end {
    CONN_END_CLOSED, /* by us, after everything was sent */
    CONN_END_ABORTED, /* by us, at once */
    CONN_END_RESET, /* by the peer, or an error on the socket */
    CONN_END_SHUTDOWN /* the worker stops now */
};

struct proto_ops {
    const char *name;
    /* First call on a connection: makes conn->proto_data. -1: out of memory, the connection is closed (no on_close). */
    int (*open)(struct conn *c);
    /* Bytes have arrived. Returns how many were used; the rest is kept and offered again, in front of what comes next
     * (or by conn_replay()). The bytes may be changed in place. */
    size_t (*on_data)(struct conn *c, char *p, size_t n);
    /* Where the next bytes may be read to, which are then given to on_data from there, at once: memory of the protocol's own, so
     * that it need not copy them; *n bytes of it. NULL: nowhere, they are read into memory of the caller's. Only while no
     * bytes are kept. May be NULL. */
    char *(*room)(struct conn *c, size_t *n);
    /* The peer has closed its sending side; bytes not used before it stay in the connection. */
    void (*on_eof)(struct conn *c);
    /* Output fell below the low mark after a write returned LATER; or a file was sent to its end. */
    void (*on_drained)(struct conn *c);
    /* The time set by conn_set_deadline() has passed. */
    void (*on_deadline)(struct conn *c);
    /* The worker drains: close soon when idle, say so in the next answer. */
    void (*on_shutdown)(struct conn *c);
    /* The worker's time has ended: answers what has no answer yet, cuts the rest, and closes. May be NULL: the connection is
     * aborted. Not from inside another call. */
    void (*on_cut)(struct conn *c);
    /* The turn of the loop ends, after conn_at_turn_end(): writes what it has kept back. May be NULL. */
    void (*on_turn_end)(struct conn *c);
    /* More is kept for this connection than may be (memory.h), and no other is to suffer for it: it ends here, in the
     * protocol's own word. What it keeps is let go of in this call. NULL: it is cut. */
    void (*on_too_much)(struct conn *c);
    /* Last call: the connection is gone, free conn->proto_data. */
    void (*on_close)(struct conn *c, enum conn_end why);
};

#endif
