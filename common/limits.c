/* SPDX-License-Identifier: BSD-3-Clause */
/* limits.c: see limits.h. The rate is kept as one time for each client, at which all that it has used would be paid back
 * (the generic cell rate algorithm): a comparison and an exchange, and nothing has to be refilled. */
#include "common/limits.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "common/fdutil.h"
#include "common/shared.h"

#define SETS 2048
#define WAYS 8
#define PLACES (SETS * WAYS)
#define V4 (UINT64_C(0xff) << 56) /* tells IPv4 apart from most of IPv6 */

struct place {
    _Atomic(uint64_t) client; /* 0: nobody's */
    _Atomic(uint64_t) due_ns;
};

struct column {
    _Atomic(uint16_t) open[PLACES];
};

struct table {
    uint64_t key[2]; /* by the master alone */
    _Atomic(uint32_t) used; /* columns from here on were never anybody's */
    struct place place[PLACES];
    struct column column[];
};

struct limits {
    struct table *table; /* shared */
    unsigned slots;
    struct shared shared;
};

static size_t size_of(unsigned slots)
{
    return sizeof(struct table) + slots * sizeof(struct column);
}

struct limits *limits_new(unsigned slots)
{
    struct limits *l = calloc(1, sizeof *l);
    if (!l || shared_new(&l->shared, "tine limits", size_of(slots)) < 0) {
        free(l);
        return NULL;
    }
    l->table = l->shared.p;
    l->slots = slots;
    if (getrandom(l->table->key, sizeof l->table->key, 0) == (ssize_t)sizeof l->table->key)
        return l;
    limits_free(l);
    return NULL;
}

struct limits *limits_map(int fd, unsigned slots)
{
    struct limits *l = calloc(1, sizeof *l);
    if (!l) {
        fd_close(&fd);
        return NULL;
    }
    if (shared_map(&l->shared, fd, size_of(slots), true) < 0) {
        free(l);
        return NULL;
    }
    l->table = l->shared.p;
    l->slots = slots;
    return l;
}

int limits_fd(const struct limits *l)
{
    return l->shared.fd;
}

void limits_free(struct limits *l)
{
    if (l)
        shared_free(&l->shared);
    free(l);
}

/* --- clients --- */

/* A bijection that no one can predict without the key: addresses chosen to fall into one set are of no use. */
static uint64_t hash(const struct limits *l, uint64_t x)
{
    for (int i = 0; i < 2; i++) {
        x = (x ^ l->table->key[i]) * 0x9e3779b97f4a7c15u;
        x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
        x ^= x >> 32;
    }
    return x ? x : 1;
}

uint64_t limits_client(const struct limits *l, const struct sockaddr *sa)
{
    struct in6_addr six;
    uint64_t net = 0;
    if (sa->sa_family == AF_INET)
        return hash(l, V4 | ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr);
    if (sa->sa_family != AF_INET6)
        return 0;
    six = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    bool v4 = IN6_IS_ADDR_V4MAPPED(&six);
    memcpy(&net, six.s6_addr + (v4 ? 12 : 0), v4 ? 4 : 8);
    return hash(l, v4 ? V4 | net : net);
}

static unsigned open_at(const struct limits *l, unsigned place)
{
    unsigned used = atomic_load_explicit(&l->table->used, memory_order_relaxed), n = 0;
    for (unsigned i = 0; i < used && i < l->slots; i++)
        n += atomic_load_explicit(&l->table->column[i].open[place], memory_order_relaxed);
    return n;
}

/* The place of the set that was quiet for longest and has no connections; -1: all have some. */
static int quietest(const struct limits *l, unsigned first)
{
    int found = -1;
    uint64_t least = UINT64_MAX;
    for (unsigned i = first; i < first + WAYS; i++) {
        uint64_t due = atomic_load_explicit(&l->table->place[i].due_ns, memory_order_relaxed);
        if (due < least && !open_at(l, i)) {
            least = due;
            found = (int)i;
        }
    }
    return found;
}

/* The client's place, its own from now on; -1: there is none. Two workers may take one place for two clients at the same
 * moment: one of them is forgotten. */
static int find(struct limits *l, uint64_t client)
{
    unsigned first = (unsigned)(client % SETS) * WAYS;
    for (unsigned i = first; i < first + WAYS; i++)
        if (atomic_load_explicit(&l->table->place[i].client, memory_order_relaxed) == client)
            return (int)i;
    int at = quietest(l, first);
    if (at >= 0) {
        atomic_store_explicit(&l->table->place[at].due_ns, 0, memory_order_relaxed);
        atomic_store_explicit(&l->table->place[at].client, client, memory_order_relaxed);
    }
    return at;
}

/* --- requests --- */

bool limits_request(struct limits *l, uint64_t client, uint64_t interval_ns, unsigned burst, uint64_t now_ns,
                    uint64_t *ret_wait_ns)
{
    int at = client ? find(l, client) : -1;
    if (at < 0)
        return true;
    _Atomic(uint64_t) *due = &l->table->place[at].due_ns;
    uint64_t most = interval_ns * (burst - 1), was = atomic_load_explicit(due, memory_order_relaxed), from;
    do {
        from = was > now_ns ? was : now_ns;
        if (from - now_ns > most) {
            *ret_wait_ns = from - now_ns - most;
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(due, &was, from + interval_ns, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* --- connections --- */

static void use_column(struct limits *l, unsigned slot)
{
    uint32_t used = atomic_load_explicit(&l->table->used, memory_order_relaxed);
    while (used <= slot && !atomic_compare_exchange_weak_explicit(&l->table->used, &used, slot + 1,
                                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

int limits_open(struct limits *l, uint64_t client, unsigned slot, unsigned *ret_open)
{
    int at = client ? find(l, client) : -1;
    *ret_open = 0;
    if (at < 0)
        return -1;
    use_column(l, slot);
    _Atomic(uint16_t) *own = &l->table->column[slot].open[at];
    uint16_t n = atomic_load_explicit(own, memory_order_relaxed);
    if (n == UINT16_MAX)
        return -1;
    atomic_store_explicit(own, (uint16_t)(n + 1), memory_order_relaxed);
    *ret_open = open_at(l, (unsigned)at);
    return at;
}

void limits_close(struct limits *l, int place, unsigned slot)
{
    _Atomic(uint16_t) *own = &l->table->column[slot].open[place];
    uint16_t n = atomic_load_explicit(own, memory_order_relaxed);
    if (n)
        atomic_store_explicit(own, (uint16_t)(n - 1), memory_order_relaxed);
}

void limits_clear(struct limits *l, unsigned slot)
{
    if (slot < atomic_load_explicit(&l->table->used, memory_order_relaxed) && slot < l->slots)
        memset(&l->table->column[slot], 0, sizeof l->table->column[slot]);
}
