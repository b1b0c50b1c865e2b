/* SPDX-License-Identifier: BSD-3-Clause */
/* memory.h: how much a worker keeps for its clients, and how much of that for each connection: http.limit_memory. Counted
 * is what outlives the turn of the loop in which it came. Knows no protocol: whoever keeps bytes for a client has a part, a
 * size_t that starts at 0, and says how many bytes it stands for; who is refused says so in the protocol's own word.
 *
 * Three bounds. One connection keeps at most a quarter of the limit, or what the configuration allows it. All together keep
 * at most the limit, but a connection with little (`small`) is served however full the worker is: those shares add up to no
 * more than half of the limit, so a client that takes all there is cannot lock out the others. Answers are the
 * application's, and are never refused here; when they pass the limit, or when a request was refused because others hold so
 * much, those who hold the most are to be ended: memory_wants_room().
 *
 * What the application lends, to be sent from where it is, may be the same bytes for a thousand clients. It is counted
 * apart, refuses nothing, and ends connections only where the process has really grown.
 */
#ifndef TINE_NET_MEMORY_H
#define TINE_NET_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct score;

/* Of a worker. */
struct memory {
    size_t limit; /* bytes that all connections may keep */
    size_t most; /* that one may */
    size_t small; /* that each may in any case */
    size_t held; /* that are kept */
    size_t lent; /* that the application keeps for us */
    size_t peak; /* the most of `held` and `lent` since memory_trim() */
    size_t futile; /* of `held`, when ending connections made no room */
    size_t looked; /* of both, when the process had not grown; at least the limit */
    size_t turn; /* of both, when no more should come in this turn: what can be done about it is done between turns */
    size_t base; /* of the process, before much was kept; 0: little is kept */
    bool wanted; /* something was refused because others hold so much */
    struct score *score; /* counts refusals */
};

/* Of a connection. */
struct memory_share {
    size_t held, lent;
};

/* limit 0: none. `connections`: how many there may be; `needs`: what the configuration allows one of them. */
void memory_init(struct memory *m, uint64_t limit, unsigned connections, uint64_t needs, struct score *score);

/* Whether a connection may keep n bytes more. */
static inline bool memory_may(const struct memory *m, const struct memory_share *share, size_t n)
{
    size_t all = share->held + n;
    return all <= m->small || (all <= m->most && m->held + n <= m->limit);
}

/* The part stands for n bytes from now on. Without a share: for those whose connection has gone. */
void memory_keep(struct memory *m, struct memory_share *share, size_t *part, size_t n);
/* The same, unless that would be more than may be kept: then false, the part stays as it was, and the caller lets go of the
 * bytes and of whoever sent them. Less than before is never refused. */
bool memory_hold(struct memory *m, struct memory_share *share, size_t *part, size_t n)
    __attribute__((warn_unused_result));
/* For a memory_may() that was false. */
void memory_refused(struct memory *m, const struct memory_share *share, size_t n);
/* As memory_keep(), for what is lent; of another part. */
void memory_lend(struct memory *m, struct memory_share *share, size_t *part, size_t n);
/* The connection goes, and what the part stands for stays with the application. */
void memory_leave(struct memory_share *share, size_t part);

/* Whether as much came in this turn as should; nothing more is to be read before the next. */
static inline bool memory_turn_is_full(const struct memory *m)
{
    return m->held + m->lent > m->turn;
}
/* Once a turn, at its end. */
static inline void memory_turn(struct memory *m)
{
    m->turn = m->held + m->lent + m->limit / 4;
}

/* Whether so much is kept that memory_wants_room() has to be asked. */
static inline bool memory_is_busy(const struct memory *m)
{
    return m->held + m->lent > m->limit / 4 || m->wanted || m->base;
}
/* Whether large connections must end. */
bool memory_wants_room(struct memory *m);
/* Whether others can continue, once `going` bytes of what is held or lent are let go of. */
bool memory_has_room(const struct memory *m, size_t going);
/* Connections were ended, and `going` bytes go with them. */
void memory_made_room(struct memory *m, size_t going);

/* Whether so much was given back that the system should have it. */
bool memory_wants_trim(const struct memory *m);
/* Gives free memory back to the system; may take milliseconds. */
void memory_trim(struct memory *m);

#endif
