/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_serve.c: serves builtin:hello from the net and http layers alone, without master and Python: the floor that the
 * whole server is measured against, and a fast server for tests of the wire.
 *
 *   h1_serve [KEY=VALUE]...   keys of [http] and [server] that are numbers (milliseconds, bytes), port, proxy=1,
 *                             log=PATH. Prints the port, serves until TERM (drains) or INT (at once).
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/heritage.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "conf/conf.h"
#include "worker/log/access_log.h"
#include "worker/http/builtin.h"
#include "worker/http1/h1_conn.h"
#include "worker/net/accept.h"
#include "worker/http/site.h"
#include "worker/net/conn.h"
#include "worker/net/proxy_step.h"

struct serve {
    struct conf conf;
    struct net net;
    struct site site;
    struct access_log *log;
    struct score score;
    struct listener listener;
    struct acceptor *acceptor;
    unsigned port;
    bool done;
};

static struct conf_net loopback = { .addr = IN6ADDR_LOOPBACK_INIT, .prefix = 0 };

static void defaults(struct conf *conf)
{
    conf->server.backlog = 2048;
    conf->server.workers = 1;
    conf->server.worker_connections = 10000;
    conf->http.keepalive = 5000;
    conf->http.head_delay = 50;
    conf->http.header_timeout = 10000;
    conf->http.body_timeout = 30000;
    conf->http.write_timeout = 30000;
    conf->http.limit_request_line = 8190;
    conf->http.limit_request_fields = 100;
    conf->http.limit_request_field_size = 8190;
    conf->http.limit_request_head = 65536;
    conf->http.forwarded_allow_ips = (struct conf_nets){ &loopback, 1, true, true };
    conf->http.proxy_allow_ips = (struct conf_nets){ &loopback, 1, true, true };
    conf->http.server_header = conf->http.date_header = true;
}

static int set(struct serve *s, const char *text)
{
    struct conf *conf = &s->conf;
    const char *value = strchr(text, '=');
    if (!value)
        return -1;
    struct span key = { text, (size_t)(value - text) };
    unsigned long n = strtoul(++value, NULL, 10);
#define TAKE(name, target)          \
    if (span_eq(key, SPAN(name))) { \
        target;                     \
        return 0;                   \
    }
    TAKE("port", s->port = (unsigned)n)
    TAKE("proxy", s->listener.proxy = n != 0)
    TAKE("log", s->log = access_log_open(value, AT_FDCWD, "%(h)s %(r)s %(s)s %(B)s", "tine"))
    TAKE("debug", log_open("-", LOG_LEVEL_DEBUG, false))
    TAKE("worker_connections", conf->server.worker_connections = (unsigned)n)
    TAKE("keepalive", conf->http.keepalive = n)
    TAKE("header_timeout", conf->http.header_timeout = n)
    TAKE("body_timeout", conf->http.body_timeout = n)
    TAKE("write_timeout", conf->http.write_timeout = n)
    TAKE("limit_request_body", conf->http.limit_request_body = n)
    return -1;
}

static int listen_on(struct serve *s)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port) };
    socklen_t n = sizeof sa;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, n) < 0 || listen(fd, (int)s->conf.server.backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
        return -1;
    s->listener.fd = fd;
    static char text[] = "test";
    s->listener.text = text;
    memcpy(&s->listener.addr, &sa, n);
    s->listener.addr_len = n;
    printf("%u\n", ntohs(sa.sin_port));
    fflush(stdout);
    return 0;
}

static const struct proto_ops *choose(struct conn *c)
{
    return c->listener->proxy && !c->proto ? &proto_proxy : &proto_h1;
}

static void on_empty(void *arg)
{
    ((struct serve *)arg)->done = true;
}

static void on_term(evutil_socket_t fd, short what, void *arg)
{
    struct serve *s = arg;
    acceptor_stop(s->acceptor);
    net_shutdown(&s->net);
    net_on_empty(&s->net, on_empty, s);
}

static void on_int(evutil_socket_t fd, short what, void *arg)
{
    ((struct serve *)arg)->done = true;
}

static int serve(struct serve *s, struct event_base *base)
{
    struct access_log *log = s->log;
    struct event *term = evsignal_new(base, SIGTERM, on_term, s);
    struct event *quit = evsignal_new(base, SIGINT, on_int, s);
    if (net_init(&s->net, base, &s->conf, &s->score) < 0 || site_init(&s->site, &s->conf, base) < 0 ||
        listen_on(s) < 0) {
        perror("h1_serve");
        return 1;
    }
    s->site.access_log = log;
    s->site.handler = builtin_hello();
    s->net.site = &s->site;
    s->net.choose_proto = choose;
    s->acceptor = acceptor_new(&s->net, &s->listener, 1, NULL);
    event_add(term, NULL);
    event_add(quit, NULL);
    while (!s->done) {
        event_base_loop(base, EVLOOP_ONCE);
        net_turn(&s->net);
        if (log)
            access_log_flush(log);
    }
    net_done(&s->net);
    site_done(&s->site);
    acceptor_free(s->acceptor);
    access_log_free(log);
    event_free(term);
    event_free(quit);
    printf("requests %llu inflight %u connections %u\n", (unsigned long long)s->score.requests, s->score.inflight,
           s->score.connections);
    return 0;
}

int main(int argc, char **argv)
{
    static struct serve s;
    signal(SIGPIPE, SIG_IGN);
    defaults(&s.conf);
    for (int i = 1; i < argc; i++) {
        if (set(&s, argv[i]) < 0) {
            fprintf(stderr, "h1_serve: what is %s?\n", argv[i]);
            return 2;
        }
    }
    struct event_config *how = event_config_new();
    event_config_set_flag(how, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(how);
    event_config_free(how);
    int status = serve(&s, base);
    event_base_free(base);
    return status;
}
