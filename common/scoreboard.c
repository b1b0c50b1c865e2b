/* scoreboard.c: the mapping behind scoreboard.h. */
#include "common/scoreboard.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

static size_t board_size(unsigned n)
{
    return sizeof(struct scoreboard) + n * sizeof(struct score);
}

struct scoreboard *scoreboard_new(unsigned n)
{
    void *p = mmap(NULL, board_size(n), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    struct scoreboard *board = p;
    board->n = n;
    return board;
}

void scoreboard_free(struct scoreboard *board)
{
    if (board)
        munmap(board, board_size(board->n));
}

void scoreboard_clear(struct scoreboard *board, unsigned slot)
{
    struct score *s = &board->slot[slot];
    atomic_store_explicit(&s->pid, 0, memory_order_relaxed);
    atomic_store_explicit(&s->heartbeat_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&s->connections, 0, memory_order_relaxed);
    atomic_store_explicit(&s->inflight, 0, memory_order_relaxed);
    atomic_store_explicit(&s->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&s->waiting, 0, memory_order_relaxed);
    atomic_store_explicit(&s->admitted, 0, memory_order_relaxed);
    atomic_store_explicit(&s->queued, 0, memory_order_relaxed);
    atomic_store_explicit(&s->refused, 0, memory_order_relaxed);
    atomic_store_explicit(&s->timed_out, 0, memory_order_relaxed);
    atomic_store_explicit(&s->too_large, 0, memory_order_relaxed);
    atomic_store_explicit(&s->log_dropped, 0, memory_order_relaxed);
    atomic_store_explicit(&s->held, 0, memory_order_relaxed);
}

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
