/* SPDX-License-Identifier: BSD-3-Clause */
/* listen.c: opens what the configuration names; TCP here, Unix sockets in listen_unix.c, inherited ones in
 * listen_passed.c. Must never serve on fewer addresses than were asked for without saying so. */
#include "master/listen/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/listen/busy.h"
#include "master/listen/listen_priv.h"

/* --- what is open already --- */

/* Takes over what `before` opened for the same bind. How many, or -1 logged. A socket file that
 * was removed leads no client to its socket: that is made again. */
static int keep_bind(struct listeners *listeners, const struct listeners *before, const struct conf_bind *bind)
{
    int kept = 0;
    if (bind->kind == CONF_BIND_UNIX && !listen_unix_is_there(bind))
        return 0;
    if (conf_bind_is_any(bind) && bind->port) /* which families these are may have changed: each address by itself */
        return 0;
    for (size_t i = 0; before && i < before->n; i++) {
        if (strcmp(before->v[i].bind, bind->text) != 0)
            continue;
        if (listeners_add_again(listeners, bind, &before->v[i]) < 0)
            return -1;
        kept++;
    }
    return kept;
}

/* Takes over what `before` opened on the same address, whatever the bind was called. How many, or -1 logged. */
static int keep_address(struct listeners *listeners, const struct listeners *before, const struct conf_bind *bind,
                        const struct addrinfo *ai)
{
    int kept = 0;
    for (size_t i = 0; before && i < before->n; i++) {
        if (before->v[i].addr_len != ai->ai_addrlen || memcmp(&before->v[i].addr, ai->ai_addr, ai->ai_addrlen) != 0)
            continue;
        if (listeners_add_again(listeners, bind, &before->v[i]) < 0)
            return -1;
        kept++;
    }
    return kept;
}

/* --- TCP --- */

static void set_port(struct sockaddr *addr, in_port_t port)
{
    if (addr->sa_family == AF_INET)
        ((struct sockaddr_in *)addr)->sin_port = port;
    else
        ((struct sockaddr_in6 *)addr)->sin6_port = port;
}

static in_port_t get_port(const struct sockaddr_storage *addr)
{
    return addr->ss_family == AF_INET ? ((const struct sockaddr_in *)addr)->sin_port
                                      : ((const struct sockaddr_in6 *)addr)->sin6_port;
}

/* A bound and listening socket, or -1 with errno. */
static int open_tcp(const struct addrinfo *ai, const struct conf_server *conf)
{
    int on = 1, shares = conf->accept == CONF_ACCEPT_REUSEPORT;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
        bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
        /* Only now: another server on this address must be found out. */
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, sizeof(shares)) < 0 || listen(fd, (int)conf->backlog) < 0)
        fd_close(&fd);
    return fd;
}

/* Why it failed, and a hint where the reason alone does not help. */
static void log_bind_failed(const struct conf_bind *bind, const struct addrinfo *ai, enum log_level level)
{
    int why = errno;
    struct sockaddr_storage addr = { 0 };
    memcpy(&addr, ai->ai_addr, ai->ai_addrlen);
    char *text = listeners_address(&addr, ai->ai_addrlen);
    bool same = text && strcmp(text, bind->text) == 0;
    const char *hint = why == EACCES && bind->port < 1024 ? " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
                       : why == EADDRNOTAVAIL             ? " (no interface of this machine has it)"
                       : why == EADDRINUSE && bind->text[0] == '[' && ai->ai_family == AF_INET
                           ? " (the flag ipv6only leaves IPv4 to others)"
                           : "";
    char *holder = why == EADDRINUSE ? busy_holder(ai->ai_addr) : NULL;
    log_at(level, "bind %s%s%s%s: %s%s%s%s", bind->text, same ? "" : " (",
           same   ? ""
           : text ? text
                  : "?",
           same ? "" : ")", strerror(why), hint, holder ? ": " : "", holder ? holder : "");
    free(holder);
    free(text);
}

/* A family that this machine has switched off; no fault while another address of the same name
 * works. */
static bool family_is_missing(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPFNOSUPPORT;
}

/* /etc/hosts may give the same address twice. */
static bool seen_before(const struct addrinfo *first, const struct addrinfo *ai)
{
    for (; first != ai; first = first->ai_next)
        if (first->ai_addrlen == ai->ai_addrlen && memcmp(first->ai_addr, ai->ai_addr, ai->ai_addrlen) == 0)
            return true;
    return false;
}

static int open_addresses(struct listeners *listeners, const struct listeners *before, const struct conf_bind *bind,
                          const struct conf_server *conf, const struct addrinfo *first)
{
    size_t n_before = listeners->n;
    const struct addrinfo *skipped = NULL;
    int why = 0;
    for (const struct addrinfo *ai = first; ai; ai = ai->ai_next) {
        if (seen_before(first, ai))
            continue;
        int kept = keep_address(listeners, before, bind, ai);
        if (kept < 0)
            return -1;
        if (kept)
            continue;
        int fd = open_tcp(ai, conf);
        if (fd < 0 && family_is_missing(errno) && (ai->ai_next || listeners->n > n_before)) {
            skipped = ai;
            why = errno;
            continue;
        }
        if (fd < 0) {
            log_bind_failed(bind, ai, LOG_LEVEL_CRITICAL);
            return -1;
        }
        if (listeners_add(listeners, bind, fd) < 0)
            return -1;
        /* Port 0: the other addresses of the name get the port that the kernel chose for the first.
         */
        in_port_t port = get_port(&listeners->v[listeners->n - 1].addr);
        for (const struct addrinfo *next = ai->ai_next; next && !bind->port; next = next->ai_next)
            set_port(next->ai_addr, port);
    }
    if (skipped) {
        errno = why;
        log_bind_failed(bind, skipped, LOG_LEVEL_INFO);
    }
    return 0;
}

/* The same port with IPv4, as an address of its own. */
static bool has_ipv4(const struct conf_binds *binds, const struct conf_bind *bind)
{
    for (size_t i = 0; i < binds->n; i++) {
        const struct conf_bind *b = &binds->v[i];
        if (b != bind && b->kind == CONF_BIND_TCP && b->port == bind->port && b->text[0] != '[' && !b->ipv6only)
            return true;
    }
    return false;
}

/* [::] is both families, as it is to gunicorn, with a socket for each, so that addresses of IPv4 look as such; unless IPv4
 * is asked for separately. */
static bool is_v6_alone(const struct conf *conf, const struct conf_bind *bind)
{
    return bind->ipv6only ||
           (bind->text[0] == '[' && (has_ipv4(&conf->server.bind, bind) || has_ipv4(&conf->metrics.bind, bind)));
}

static int listen_tcp(struct listeners *listeners, const struct listeners *before, const struct conf_bind *bind,
                      const struct conf *conf)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", bind->port);
    bool any = conf_bind_is_any(bind);
    if (any && is_v6_alone(conf, bind))
        hints.ai_family = AF_INET6;
    int rc = getaddrinfo(any ? NULL : bind->host, port, &hints, &found);
    if (rc != 0) {
        log_critical("bind %s: %s", bind->text, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return -1;
    }
    rc = open_addresses(listeners, before, bind, &conf->server, found);
    freeaddrinfo(found);
    return rc;
}

static int open_bind(struct listeners *listeners, const struct listeners *before, const struct conf_bind *bind,
                     const struct conf *conf, const struct privs *privs, struct listen_passed *passed)
{
    switch (bind->kind) {
    case CONF_BIND_TCP:
        return listen_tcp(listeners, before, bind, conf);
    case CONF_BIND_UNIX:
        return listen_unix(listeners, bind, &conf->server, privs);
    case CONF_BIND_FD:
        return listen_fd(listeners, before, bind);
    case CONF_BIND_SYSTEMD:
        return listen_systemd(listeners, bind, passed);
    }
    return -1;
}

static int open_binds(struct listeners *listeners, const struct listeners *before, const struct conf_binds *binds,
                      const struct conf *conf, const struct privs *privs, struct listen_passed *passed)
{
    for (size_t i = 0; i < binds->n; i++) {
        const struct conf_bind *bind = &binds->v[i];
        int kept = keep_bind(listeners, before, bind);
        if (kept < 0 || (kept == 0 && open_bind(listeners, before, bind, conf, privs, passed) < 0))
            return -1;
    }
    return 0;
}

int listeners_open(struct listeners *listeners, const struct listeners *before, const struct conf *conf,
                   const struct privs *privs, struct listen_passed *passed)
{
    if (open_binds(listeners, before, &conf->server.bind, conf, privs, passed) < 0 ||
        listen_seats(listeners, before, &conf->server) < 0)
        return -1;
    listeners->n_serving = listeners->n;
    if (open_binds(listeners, before, &conf->metrics.bind, conf, privs, passed) < 0)
        return -1;
    listen_passed_close_unused(listeners, passed);
    return 0;
}
