/* SPDX-License-Identifier: BSD-3-Clause */
/* proxy_step.c: see proxy_step.h. Takes the header, sets the connection's addresses, makes way for the real protocol.
 * A listener flagged "proxy" takes no connection without a header: otherwise clients could forge one after it. */
#include "worker/net/proxy_step.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/heritage.h"
#include "common/log.h"
#include "conf/conf.h"
#include "worker/net/conn.h"
#include "worker/net/conn_limit.h"
#include "worker/net/proxy_protocol.h"

/* --- in front of TLS --- */

#define PEEK_MOST 4112 /* the longest header */

/* Takes the header alone: what follows it is for OpenSSL, which reads the socket itself. */
static ssize_t head_read(struct conn *c, void *p, size_t n)
{
    struct proxy_header header;
    ssize_t have = recv(c->fd, p, n < PEEK_MOST ? n : PEEK_MOST, MSG_PEEK);
    if (have <= 0)
        return have;
    ssize_t used = proxy_protocol_parse(p, (size_t)have, &header);
    if (used == 0 && have < PEEK_MOST) {
        errno = EAGAIN; /* more bytes are an event */
        return c->peer_hup ? 0 : -1;
    }
    return recv(c->fd, p, (size_t)(used > 0 ? used : have), 0);
}

static ssize_t head_writev(struct conn *c, const struct iovec *v, int n)
{
    errno = EPIPE; /* nothing is said before the protocol proper */
    return -1;
}

static void head_shutdown(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

static const struct transport_ops transport_proxy_head = {
    .name = "proxy header",
    .read = head_read,
    .writev = head_writev,
    .shutdown = head_shutdown,
};

/* --- the protocol --- */

static int proxy_open(struct conn *c)
{
    if (c->listener->tls)
        c->transport = &transport_proxy_head;
    if (!conf_nets_match(&c->net->conf->http.proxy_allow_ips, &c->peer.sa, c->listener->guarded)) {
        log_debug("%s: peer may not speak the PROXY protocol: closed", c->listener->text);
        return -1;
    }
    conn_set_deadline(c, c->net->conf->http.header_timeout);
    return 0;
}

static void set_addr(union conn_addr *to, const struct sockaddr_storage *from)
{
    if (from->ss_family == AF_INET)
        memcpy(&to->in4, from, sizeof to->in4);
    else if (from->ss_family == AF_INET6)
        memcpy(&to->in6, from, sizeof to->in6);
}

static size_t proxy_data(struct conn *c, char *p, size_t n)
{
    struct proxy_header header;
    ssize_t used = proxy_protocol_parse(p, n, &header);
    if (used == 0)
        return 0;
    if (used < 0) {
        log_debug("%s: not a PROXY protocol header: closed", c->listener->text);
        conn_abort(c, false);
        return 0;
    }
    if (!header.local) {
        set_addr(&c->peer, &header.src);
        set_addr(&c->local, &header.dst);
    }
    if (conn_limit_begin(c) < 0) {
        conn_abort(c, false);
        return 0;
    }
    conn_set_proto(c, c->net->choose_proto(c));
    if (c->proto->open(c) < 0) {
        c->proto = NULL;
        conn_abort(c, false);
    }
    return (size_t)used;
}

static void proxy_give_up(struct conn *c)
{
    conn_abort(c, false);
}

static void proxy_drained(struct conn *c)
{
}

static void proxy_closed(struct conn *c, enum conn_end why)
{
}

const struct proto_ops proto_proxy = {
    .name = "proxy",
    .open = proxy_open,
    .on_data = proxy_data,
    .on_eof = proxy_give_up,
    .on_drained = proxy_drained,
    .on_deadline = proxy_give_up,
    .on_shutdown = proxy_give_up,
    .on_close = proxy_closed,
};
