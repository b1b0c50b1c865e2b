/* scoreboard.c: the mapping behind scoreboard.h. */
#include "common/scoreboard.h"

#include <stddef.h>
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
    atomic_store_explicit(&s->log_dropped, 0, memory_order_relaxed);
}
