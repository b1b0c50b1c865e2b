/* SPDX-License-Identifier: BSD-3-Clause */
/* listen_seats.c: server.accept = reuseport: as many sockets on each TCP address as there are workers. No socket is closed
 * when there are fewer workers: that would reset the connections in its queue. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/heritage.h"
#include "common/log.h"
#include "conf/conf.h"
#include "master/listen/listen_priv.h"

static bool same_address(const struct listener *a, const struct listener *b)
{
    return a->addr_len == b->addr_len && memcmp(&a->addr, &b->addr, a->addr_len) == 0;
}

static bool may_have_seats(const struct listener *l)
{
    int on = 0;
    socklen_t n = sizeof(on);
    return l->addr.ss_family != AF_UNIX && getsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, &n) == 0 && on;
}

/* Another socket on the same address, or -1 with errno. */
static int open_seat(const struct listener *l, unsigned backlog)
{
    int on = 1;
    int fd = socket(l->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        (l->addr.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
        bind(fd, (const struct sockaddr *)&l->addr, l->addr_len) < 0 || listen(fd, (int)backlog) < 0)
        fd_close(&fd);
    return fd;
}

static bool is_open_in(const struct listeners *before, const struct listener *l)
{
    for (size_t i = 0; before && i < before->n; i++)
        if (same_address(&before->v[i], l))
            return true;
    return false;
}

/* The first socket of its address. */
static bool is_first(const struct listeners *listeners, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (same_address(&listeners->v[k], &listeners->v[i]))
            return false;
    return true;
}

/* How many sockets its address has; numbers them, if `seats` is not 0. */
static unsigned number(struct listeners *listeners, size_t first, unsigned seats)
{
    unsigned n = 0;
    for (size_t i = first; i < listeners->n; i++) {
        struct listener *l = &listeners->v[i];
        if (!same_address(l, &listeners->v[first]))
            continue;
        l->seat = n++;
        l->seats = seats;
    }
    return n;
}

int listen_seats(struct listeners *listeners, const struct listeners *before, const struct conf_server *conf)
{
    size_t n_binds = listeners->n;
    for (size_t i = 0; i < n_binds; i++) {
        if (conf->accept != CONF_ACCEPT_REUSEPORT || !may_have_seats(&listeners->v[i]) || !is_first(listeners, i))
            continue;
        unsigned n = number(listeners, i, 0);
        for (; n < conf->workers && !is_open_in(before, &listeners->v[i]); n++) {
            const struct listener *l = &listeners->v[i];
            const struct conf_bind bind = { .text = l->bind, .tls = l->tls, .h2c = l->h2c, .proxy = l->proxy };
            int fd = open_seat(l, conf->backlog);
            if (fd < 0) {
                log_critical("bind %s: socket %u of server.accept = reuseport: %s", bind.text, n + 1, strerror(errno));
                return -1;
            }
            if (listeners_add(listeners, &bind, fd) < 0)
                return -1;
        }
        number(listeners, i, n);
    }
    return 0;
}
