/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_too_slow.c: whether the peer takes what waits for it: some of it within http.write_timeout, and not less than
 * http.body_min_rate for long. Bytes that the kernel has, the peer may not have: what it has taken since the last look is
 * what left the kernel's queue. How slowly a body may arrive is judged in http/req.c: req_body_patience(). */
#include <event2/event.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "conf/conf.h"
#include "worker/net/conn_priv.h"

/* Bytes that the kernel keeps for the peer; of a connection without a socket none. */
static uint64_t kernel_has(const struct conn *c)
{
    int n = 0;
    return c->fd >= 0 && ioctl(c->fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

/* False: it is too slow. */
static bool go_on(struct conn *c)
{
    const struct conf_http *conf = &c->net->conf->http;
    struct wheel *w = &c->net->wheel;
    uint64_t left = pace_left(&c->write_pace, w, conf->body_min_rate, conf->write_timeout);
    deadline_set(w, &c->write_deadline, left);
    return left > 0;
}

void conn_progress_begin(struct conn *c)
{
    c->kernel_had = kernel_has(c);
    pace_wait(&c->write_pace, &c->net->wheel, c->net->conf->http.body_min_rate);
    go_on(c);
}

void conn_progress(struct conn *c, uint64_t n)
{
    pace_paid(&c->write_pace, &c->net->wheel, c->net->conf->http.body_min_rate, n);
    go_on(c);
}

void conn_progress_end(struct conn *c)
{
    pace_rest(&c->write_pace, &c->net->wheel, c->net->conf->http.body_min_rate);
    deadline_clear(&c->write_deadline);
}

bool conn_progress_late(struct conn *c)
{
    uint64_t has = kernel_has(c), had = c->kernel_had;
    c->kernel_had = has;
    pace_paid(&c->write_pace, &c->net->wheel, c->net->conf->http.body_min_rate, had > has ? had - has : 0);
    return !go_on(c);
}
