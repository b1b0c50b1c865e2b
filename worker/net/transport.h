/* SPDX-License-Identifier: BSD-3-Clause */
/* transport.h: the seam under a connection: where its bytes go: TCP, TLS, a stream of HTTP/2. */
#ifndef TINE_NET_TRANSPORT_H
#define TINE_NET_TRANSPORT_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct conn;

struct transport_ops {
    const char *name;
    bool secure; /* scheme https */
    /* A read that returns less than was asked for has taken all there was: the next read may wait for an event. */
    bool short_read_drains;
    /* As read(2) on a non-blocking socket: >0; 0 at EOF; -1 with errno (EAGAIN: nothing now). */
    ssize_t (*read)(struct conn *c, void *p, size_t n);
    ssize_t (*writev)(struct conn *c, const struct iovec *v, int n);
    /* NULL: cannot; the connection then reads the file and writes. Advances *offset. The process ignores SIGPIPE. */
    ssize_t (*sendfile)(struct conn *c, int fd, off_t *offset, size_t n);
    /* The socket takes bytes again: writes what the transport itself keeps of earlier ones. 1: none is left; 0: the
     * socket is full; -1 with errno. NULL: it keeps none. */
    int (*flush)(struct conn *c);
    /* Ends the sending side (FIN, close_notify). */
    void (*shutdown)(struct conn *c);
    /* Says what the end of a connection needs to be said (by conn->end), frees the transport's own state; the descriptor is
     * the connection's. May be NULL. */
    void (*done)(struct conn *c);
};

extern const struct transport_ops transport_tcp;

#endif
