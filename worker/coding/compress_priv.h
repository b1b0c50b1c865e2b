/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_priv.h: what the files of compression share; no file outside this folder includes it. */
#ifndef TINE_HTTP_COMPRESS_PRIV_H
#define TINE_HTTP_COMPRESS_PRIV_H

#include <event2/event_struct.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "worker/coding/compress.h"
#include "worker/coding/compress_codec.h"
#include "worker/coding/compress_head.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"

/* What is compressed in one go: some milliseconds at most. */
#define COMPRESS_PIECE (64u << 10)
/* Room for a piece that does not shrink, with its frame. */
#define COMPRESS_ROOM (COMPRESS_PIECE + (2u << 10))

#define COMPRESS_POOL 4

/* A coding that the configuration asks for, and contexts that wait for their next answer. */
struct compress_choice {
    const struct codec *codec;
    void *idle[COMPRESS_POOL];
    unsigned n_idle;
};

struct compressor {
    struct resp_filter filter;
    const struct conf_http *conf;
    struct compress_choice choices[N_CODINGS]; /* in the order of preference */
    size_t n_choices;
    size_t in_use; /* bytes of contexts that are at work */
    struct event turn;
    TAILQ_HEAD(compress_queue, encoding) queue; /* answers with something left to compress, first come first served */
    char in[COMPRESS_PIECE]; /* of a file */
    char out[COMPRESS_ROOM];
};

enum encoding_stage {
    ENCODING_UNDECIDED, /* its head waits here for the first body call */
    ENCODING_RUNS,
    ENCODING_FINISHED,  /* the codec has ended, the protocol may still be sending */
};

struct encoding {
    struct resp_filtered filtered;
    struct compressor *z;
    struct req *req; /* NULL: it has ended, and the outermost running call frees this (`busy`) */
    const struct resp_ops *below;
    enum encoding_stage stage;
    struct compress_choice *choice;
    void *context; /* of the codec; NULL before it starts, after it ends, and for HEAD */
    int64_t length; /* Content-Length of the application; -1: none */
    uint64_t given; /* body bytes of the application so far */
    bool needed;    /* the client refuses an answer as it is */

    /* given, and left for other turns */
    struct span left;
    struct buf kept;     /* where they are, if their owner does not keep them */
    int fd;              /* instead: a file; -1 */
    off_t file_at;
    size_t file_left;
    bool more;           /* the application will give more after what is left */

    bool queued;
    bool full;           /* the protocol returned RESP_LATER: nothing more until its on_drained */
    bool owed;           /* the handler got RESP_LATER: on_drained is owed to it */
    unsigned busy;       /* calls running on this object; it must not be freed before they return */
    TAILQ_ENTRY(encoding) link;

    struct compress_facts facts;
    struct resp_head head;
    struct resp_field fields[]; /* their bytes follow them */
};

static inline struct encoding *encoding_of(const struct req *r)
{
    return (struct encoding *)r->filtered;
}

/* compress_pool.c. False: there is no memory for a context now. */
bool compress_take_context(struct encoding *e);
void compress_give_context(struct encoding *e);

/* compress_stream.c: resp_filter_ops but for start and drop. */
enum resp_result compress_not(struct req *r);
void compress_withdraw(struct req *r);
void compress_given(const struct req *r, int64_t *ret_length, uint64_t *ret_given);
bool compress_is_given(const struct req *r);
/* Takes the answer over; its head is copied. 0, or -1: out of memory. */
int compress_stream_open(struct compressor *z, struct req *r, const struct resp_head *head,
                         struct compress_choice *choice, bool needed);

/* compress_run.c: resp_filter_ops. */
void compress_drained(struct req *r);
void compress_drop(struct resp_filtered *filtered);
/* Calls into the protocol below stand between these two: they may end the request. */
void compress_enter(struct encoding *e);
void compress_leave(struct encoding *e);
/* In between: whether the request still lives. */
bool compress_lives(const struct encoding *e);
void compress_free(struct encoding *e);
/* The answer is cut for lack of memory. */
enum resp_result compress_fail(struct encoding *e);
/* The first n bytes of compressor.out to the protocol. */
enum resp_result compress_give(struct encoding *e, size_t n, bool more);
/* Bytes through the codec. */
enum resp_result compress_run(struct encoding *e, struct span bytes, enum codec_op op);
/* What follows what is left. */
enum codec_op compress_op(const struct encoding *e);
bool compress_has_left(const struct encoding *e);
/* All that is left, at once. */
enum resp_result compress_finish_left(struct encoding *e);
/* What is left is compressed in later turns. */
void compress_queue(struct encoding *e);
/* Event of compressor.turn. */
void compress_on_turn(int fd, short what, void *arg);

#endif
