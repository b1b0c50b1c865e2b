/* SPDX-License-Identifier: BSD-3-Clause */
/* scoreboard.c: the shared mapping of the scoreboard, and its readers' sums. */
#include "common/scoreboard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fdutil.h"

struct mapping {
    struct score_common common;
    struct score slot[];
};

static size_t mapping_size(unsigned n)
{
    return sizeof(struct mapping) + n * sizeof(struct score);
}

/* Made (fd -1) or mapped. NULL with errno; fd is closed in any case. */
static struct scoreboard *scoreboard_at(int fd, unsigned n)
{
    struct scoreboard *board = calloc(1, sizeof(*board));
    if (!board) {
        fd_close(&fd);
        return NULL;
    }
    if ((fd < 0 ? shared_new(&board->shared, "tine scoreboard", mapping_size(n))
                : shared_map(&board->shared, fd, mapping_size(n), true)) < 0) {
        int saved = errno;
        free(board);
        errno = saved;
        return NULL;
    }
    struct mapping *m = board->shared.p;
    board->n = n;
    board->common = &m->common;
    board->slot = m->slot;
    return board;
}

struct scoreboard *scoreboard_new(unsigned n)
{
    return scoreboard_at(-1, n);
}

struct scoreboard *scoreboard_map(int fd, unsigned n)
{
    return scoreboard_at(fd, n);
}

void scoreboard_free(struct scoreboard *board)
{
    if (board)
        shared_free(&board->shared);
    free(board);
}

/* --- sums --- */

static uint64_t load64(const _Atomic(uint64_t) *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

static void earlier(int64_t *to, int64_t expires)
{
    if (expires && (!*to || expires < *to))
        *to = expires;
}

static struct score_route_sum *route_of(struct score_sums *sums, const char *name)
{
    for (unsigned i = 0; i < sums->n_routes; i++)
        if (strcmp(sums->route[i].name, name) == 0)
            return &sums->route[i];
    struct score_route_sum *to = &sums->route[SCORE_ROUTES_ALL - 1];
    if (sums->n_routes < SCORE_ROUTES_ALL - 1)
        to = &sums->route[sums->n_routes++];
    else
        sums->n_routes = SCORE_ROUTES_ALL, name = SCORE_ROUTE_OTHERS;
    snprintf(to->name, sizeof(to->name), "%s", name);
    return to;
}

static struct score_mount_sum *mount_of(struct score_sums *sums, const char *name)
{
    unsigned i = 0;
    while (i < sums->n_mounts && strcmp(sums->mount[i].name, name) != 0)
        i++;
    if (i == SCORE_MOUNTS)
        return &sums->mount[SCORE_MOUNTS - 1];
    if (i == sums->n_mounts) {
        memcpy(sums->mount[i].name, name, SCORE_MOUNT);
        sums->n_mounts++;
    }
    return &sums->mount[i];
}

static void read_mounts(const struct score *score, struct score_sums *to)
{
    for (unsigned i = 0; i < SCORE_MOUNTS; i++) {
        const struct score_mount *from = &score->mount[i];
        char name[SCORE_MOUNT];
        memcpy(name, from->name, sizeof(name));
        name[sizeof(name) - 1] = '\0';
        if (!*name)
            return;
        struct score_mount_sum *mount = mount_of(to, name);
        mount->requests += load64(&from->requests);
        mount->errors += load64(&from->errors);
        mount->took_ns += load64(&from->took_ns);
    }
}

static void read_counters(const struct score *score, struct score_sums *to)
{
#define SCORE_COUNTER(field, family, labels, unit, help) to->field += load64(&score->field);
#include "common/score_figures.def"
    for (unsigned i = 0; i < SCORE_METHODS; i++)
        to->method[i] += load64(&score->method[i]);
    for (unsigned i = 0; i < SCORE_STATUSES; i++)
        to->status[i] += load64(&score->status[i]);
    histogram_read(&score->latency, &to->latency);
    histogram_read(&score->queue, &to->queue);
    read_mounts(score, to);
    unsigned n = atomic_load_explicit(&score->n_routes, memory_order_acquire);
    for (unsigned i = 0; i < n && i < SCORE_ROUTES; i++) {
        char name[SCORE_ROUTE];
        memcpy(name, score->route[i].name, sizeof(name));
        name[sizeof(name) - 1] = '\0';
        struct score_route_sum *route = route_of(to, name);
        route->blocked += load64(&score->route[i].blocked);
        route->blocked_ns += load64(&score->route[i].blocked_ns);
        route->slow += load64(&score->route[i].slow);
    }
}

void score_read(const struct score *score, struct score_sums *to)
{
    read_counters(score, to);
#define SCORE_GAUGE(field, family, labels, help) to->field += atomic_load_explicit(&score->field, memory_order_relaxed);
#include "common/score_figures.def"
    earlier(&to->tls_expires, atomic_load_explicit(&score->tls_expires, memory_order_relaxed));
}

void scoreboard_sum(const struct scoreboard *board, struct score_sums *ret_sums)
{
    *ret_sums = board->past;
    for (unsigned i = 0; i < board->used; i++)
        score_read(&board->slot[i], ret_sums);
}

void scoreboard_clear(struct scoreboard *board, unsigned slot)
{
    struct score *s = &board->slot[slot];
    if (slot >= board->used) {
        board->used = slot + 1;
        atomic_store_explicit(&board->common->used, board->used, memory_order_relaxed);
    }
    read_counters(s, &board->past);
    /* The writer is gone, and the only other reader is this same thread. */
    memset((void *)s, 0, sizeof(*s));
}

uint64_t score_status_class(const struct score_sums *sums, unsigned class)
{
    uint64_t n = 0;
    if (!class)
        return sums->status[SCORE_STATUSES - 1];
    for (unsigned i = 0; i < 100; i++)
        n += sums->status[(class - 1) * 100 + i];
    return n;
}

const char *score_method_name(enum score_method method)
{
    static const char *const names[SCORE_METHODS] = {
        [SCORE_GET] = "GET",     [SCORE_HEAD] = "HEAD",     [SCORE_POST] = "POST",       [SCORE_PUT] = "PUT",
        [SCORE_PATCH] = "PATCH", [SCORE_DELETE] = "DELETE", [SCORE_OPTIONS] = "OPTIONS", [SCORE_METHOD_OTHER] = "other",
    };
    return names[method];
}

/* --- the worker's texts --- */

static void keep_text(char *to, size_t size, const char *text, size_t n)
{
    n = n < size ? n : size - 1;
    memcpy(to, text, n);
    to[n] = '\0';
}

int score_hold(struct score *score, const char *line, size_t n, const char *client, uint64_t now_ns)
{
    uint32_t held = atomic_load_explicit(&score->held, memory_order_relaxed);
    int index = __builtin_ffs((int)~held) - 1;
    if (index < 0 || index >= SCORE_REQUESTS)
        return -1;
    struct score_request *r = &score->request[index];
    r->started_ns = now_ns;
    keep_text(r->line, sizeof(r->line), line, n);
    keep_text(r->client, sizeof(r->client), client, strlen(client));
    atomic_store_explicit(&score->held, held | 1u << index, memory_order_release);
    return index;
}

unsigned score_read_requests(const struct score *score, struct score_request to[SCORE_REQUESTS])
{
    uint32_t held = atomic_load_explicit(&score->held, memory_order_acquire);
    unsigned n = 0;
    for (unsigned i = 0; i < SCORE_REQUESTS; i++) {
        if (!(held & 1u << i))
            continue;
        to[n] = score->request[i];
        to[n].line[SCORE_LINE - 1] = to[n].client[SCORE_CLIENT - 1] = '\0';
        n++;
    }
    return n;
}

void score_name_mount(struct score *score, unsigned i, const char *prefix)
{
    if (i < SCORE_MOUNTS)
        keep_text(score->mount[i].name, SCORE_MOUNT, prefix, strlen(prefix));
}

struct score_route *score_route(struct score *score, const char *name, size_t n)
{
    char wanted[SCORE_ROUTE];
    keep_text(wanted, sizeof(wanted), name, n);
    unsigned used = atomic_load_explicit(&score->n_routes, memory_order_relaxed);
    for (unsigned i = 0; i < used; i++)
        if (strcmp(score->route[i].name, wanted) == 0)
            return &score->route[i];
    if (used == SCORE_ROUTES)
        return &score->route[SCORE_ROUTES - 1];
    snprintf(score->route[used].name, sizeof(score->route[used].name), "%s",
             used == SCORE_ROUTES - 1 ? SCORE_ROUTE_OTHERS : wanted);
    atomic_store_explicit(&score->n_routes, used + 1, memory_order_release);
    return &score->route[used];
}
