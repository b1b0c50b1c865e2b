/* SPDX-License-Identifier: BSD-3-Clause */
/* memory.c: the sums of what is kept for clients; see memory.h. */
#include "worker/net/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/least.h"
#include "common/scoreboard.h"
#include "common/trim.h"

#define CONNECTION_PART 4 /* of the limit may be one connection's */
#define SMALL (16u << 10) /* at most; a usual head with its request */
#define ROOM_PART 8 /* of the limit is made free when it was reached */
#define GROWN_PART 4 /* of the limit: so much more shows that what is lent is not all the same */
#define TRIM_LEAST (8u << 20) /* less is soon used again */

void memory_init(struct memory *m, uint64_t limit, unsigned connections, uint64_t needs, struct score *score)
{
    size_t all = limit ? (size_t)limit : SIZE_MAX / 2, part = all / CONNECTION_PART;
    size_t each = all / 2 / (connections ? connections : 1);
    *m = (struct memory){ .limit = all,
                          .most = needs > part ? least((size_t)needs, all) : part,
                          .small = least(each, SMALL),
                          .looked = all,
                          .turn = part,
                          .score = score };
}

static void note_peak(struct memory *m)
{
    if (m->held + m->lent > m->peak)
        m->peak = m->held + m->lent;
}

void memory_keep(struct memory *m, struct memory_share *share, size_t *part, size_t n)
{
    size_t before = *part;
    *part = n;
    m->held += n - before;
    if (share)
        share->held += n - before;
    note_peak(m);
}

void memory_lend(struct memory *m, struct memory_share *share, size_t *part, size_t n)
{
    size_t before = *part;
    *part = n;
    m->lent += n - before;
    share->lent += n - before;
    note_peak(m);
}

void memory_refused(struct memory *m, const struct memory_share *share, size_t n)
{
    score_add64(&m->score->memory_refused, 1);
    if (share->held + n <= m->most)
        m->wanted = true;
}

bool memory_hold(struct memory *m, struct memory_share *share, size_t *part, size_t n)
{
    if (n > *part && !memory_may(m, share, n - *part)) {
        memory_refused(m, share, n - *part);
        return false;
    }
    memory_keep(m, share, part, n);
    return true;
}

void memory_leave(struct memory_share *share, size_t part)
{
    share->held -= part;
}

/* --- what is to be done --- */

/* Resident bytes of this process; 0: not known. */
static size_t resident(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *second = strchr(text, ' ');
    return second ? strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* Notes the size of the process when a quarter of the limit is passed. One turn brings no more than another quarter
 * (memory_turn()), so that at least half of the limit is still to come. */
static void note_base(struct memory *m)
{
    size_t all = m->held + m->lent, quarter = m->limit / GROWN_PART;
    if (all <= quarter / 2) {
        m->base = 0;
        m->looked = m->limit;
    } else if (!m->base && all > quarter) {
        m->base = resident();
    }
}

static bool has_grown(const struct memory *m)
{
    size_t now = resident();
    return !now || now >= m->base + m->limit / GROWN_PART;
}

bool memory_wants_room(struct memory *m)
{
    size_t all = m->held + m->lent;
    note_base(m);
    if (m->wanted || (m->held > m->limit && m->held > m->futile))
        return true;
    if (all <= m->looked)
        return false;
    bool grown = has_grown(m);
    m->looked = grown ? m->limit : all + m->limit / ROOM_PART;
    return grown;
}

bool memory_has_room(const struct memory *m, size_t going)
{
    size_t all = m->looked > m->limit ? m->held : m->held + m->lent;
    return all <= m->limit - m->limit / ROOM_PART + going;
}

void memory_made_room(struct memory *m, size_t going)
{
    bool done = memory_has_room(m, going);
    m->wanted = false;
    m->futile = done ? 0 : m->held;
    if (!done)
        m->looked = m->held + m->lent + m->limit / ROOM_PART;
}

bool memory_wants_trim(const struct memory *m)
{
    return m->peak - m->held - m->lent >= TRIM_LEAST;
}

void memory_trim(struct memory *m)
{
    trim_memory(m->peak - m->held - m->lent);
    m->peak = m->held + m->lent;
}
