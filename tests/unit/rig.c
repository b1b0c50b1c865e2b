/* SPDX-License-Identifier: BSD-3-Clause */
/* rig.c: see rig.h. */
#include "tests/unit/rig.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/http1/h1_conn.h"
#include "worker/net/proxy_step.h"

#define DEADLINE_MS 20000

static struct conf_net everyone;

static const struct proto_ops *choose(struct conn *c)
{
    return c->listener->proxy && !c->proto ? &proto_proxy : &proto_h1;
}

static void configure(struct conf *conf)
{
    conf->server.backlog = 16;
    conf->server.workers = 1;
    conf->server.worker_connections = 1000;
    conf->http.keepalive = 5000;
    conf->http.header_timeout = 10000;
    conf->http.body_timeout = 30000;
    conf->http.write_timeout = 30000;
    conf->http.limit_request_line = 4094;
    conf->http.limit_request_fields = 100;
    conf->http.limit_request_field_size = 8190;
    conf->http.limit_request_head = 65536;
    conf->http.head_delay = 3600000;
    conf->http.proxy_allow_ips = (struct conf_nets){ &everyone, 1, true, true };
}

void rig_init(struct rig *rig, struct handler *handler)
{
    *rig = (struct rig){ 0 };
    signal(SIGPIPE, SIG_IGN);
    struct event_config *how = event_config_new();
    event_config_set_flag(how, EVENT_BASE_FLAG_NOLOCK);
    rig->base = event_base_new_with_config(how);
    event_config_free(how);
    configure(&rig->conf);
    rig->listener = (struct listener){ .fd = -1, .text = (char *)(uintptr_t)"rig" };
    rig->listener.addr.ss_family = AF_UNIX;
    if (net_init(&rig->net, rig->base, &rig->conf, &rig->score) < 0)
        abort();
    if (site_init(&rig->site, &rig->conf, rig->base) < 0)
        abort();
    rig->site.handler = handler;
    rig->net.site = &rig->site;
    rig->net.choose_proto = choose;
}

void rig_done(struct rig *rig)
{
    net_done(&rig->net);
    site_done(&rig->site);
    event_base_free(rig->base);
}

void rig_pump(struct rig *rig)
{
    for (int i = 0; i < 4; i++) {
        event_base_loop(rig->base, EVLOOP_NONBLOCK);
        net_turn(&rig->net);
    }
}

static void open_pair(struct peer *p, struct rig *rig, int buffer)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
    if (buffer) {
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    }
    *p = (struct peer){ .rig = rig, .fd = fds[1] };
    struct sockaddr sa = { .sa_family = AF_UNIX };
    conn_open(&rig->net, fds[0], &rig->listener, &sa, sizeof sa);
    rig_pump(rig);
}

void peer_open(struct peer *p, struct rig *rig)
{
    open_pair(p, rig, 0);
}

void peer_open_narrow(struct peer *p, struct rig *rig)
{
    open_pair(p, rig, 4096);
}

void peer_send(struct peer *p, const void *bytes, size_t n)
{
    const char *at = bytes;
    uint64_t end = clock_ms() + DEADLINE_MS;
    while (n) {
        ssize_t k = send(p->fd, at, n, MSG_NOSIGNAL);
        if (k < 0 && errno != EAGAIN)
            break; /* the server has closed: what is left cannot arrive */
        if (k > 0) {
            at += k;
            n -= (size_t)k;
        }
        rig_pump(p->rig);
        assert(clock_ms() < end);
    }
}

void peer_say(struct peer *p, const char *text)
{
    peer_send(p, text, strlen(text));
}

void peer_read(struct peer *p, size_t most)
{
    while (most) {
        size_t want = most < 65536 ? most : 65536;
        char *to = buf_room(&p->got, want + 1);
        ssize_t n = recv(p->fd, to, want, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            p->eof = true;
            p->reset = n < 0;
            return;
        }
        buf_grew(&p->got, (size_t)n);
        most -= (size_t)n;
    }
}

void peer_read_all(struct peer *p)
{
    size_t before;
    do {
        before = buf_len(&p->got);
        rig_pump(p->rig);
        peer_read(p, SIZE_MAX);
    } while (buf_len(&p->got) != before && !p->eof);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
}

bool peer_wait_eof(struct peer *p)
{
    uint64_t end = clock_ms() + DEADLINE_MS;
    for (peer_read_all(p); !p->eof && clock_ms() < end; peer_read_all(p)) {
        struct timeval tick = { .tv_usec = 20000 };
        event_base_once(p->rig->base, -1, EV_TIMEOUT, on_tick, NULL, &tick);
        event_base_loop(p->rig->base, EVLOOP_ONCE);
        net_turn(&p->rig->net);
    }
    return p->eof;
}

void peer_shut(struct peer *p)
{
    shutdown(p->fd, SHUT_WR);
    rig_pump(p->rig);
}

void peer_close(struct peer *p)
{
    close(p->fd);
    buf_release(&p->got);
    rig_pump(p->rig);
}

const char *peer_text(struct peer *p)
{
    char *end = buf_room(&p->got, 1);
    *end = 0;
    return p->got.p + p->got.start;
}

bool peer_has(struct peer *p, const char *text)
{
    return memmem(p->got.p ? p->got.p + p->got.start : "", buf_len(&p->got), text, strlen(text)) != NULL;
}

unsigned peer_count(struct peer *p, const char *text)
{
    const char *at = peer_text(p), *end = at + buf_len(&p->got);
    unsigned n = 0;
    while ((at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
        at += strlen(text);
        n++;
    }
    return n;
}
