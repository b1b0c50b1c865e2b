/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_stream.c: an answer that is or may be compressed: to resp.c it is a protocol (resp_ops), to the protocol below
 * it is resp.c. Its head waits for the first body call; how bytes get through a codec is compress_run.c's. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "worker/coding/compress_priv.h"
#include "worker/http/req.h"

static const struct resp_ops encoding_ops;

static size_t put(char *to, size_t at, struct span *s)
{
    memcpy(to + at, s->p, s->n);
    s->p = to + at;
    return at + s->n;
}

int compress_stream_open(struct compressor *z, struct req *r, const struct resp_head *head,
                         struct compress_choice *choice, bool needed)
{
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < head->n_fields; i++)
        bytes += head->fields[i].name.n + head->fields[i].value.n;
    struct encoding *e = calloc(1, sizeof(*e) + head->n_fields * sizeof(*e->fields) + bytes);
    if (!e)
        return -1;
    e->filtered.ops = z->filter.ops;
    e->z = z;
    e->req = r;
    e->below = r->ops;
    e->choice = choice;
    e->length = r->answer_length;
    e->needed = needed;
    e->fd = -1;
    e->head = *head;
    e->head.fields = e->fields;
    memcpy(e->fields, head->fields, head->n_fields * sizeof(*e->fields));
    char *text = (char *)(e->fields + head->n_fields);
    for (size_t i = 0; i < head->n_fields; i++) {
        at = put(text, at, &e->fields[i].name);
        at = put(text, at, &e->fields[i].value);
    }
    e->facts = compress_read_head(&e->head);
    r->filtered = &e->filtered;
    r->ops = &encoding_ops;
    return 0;
}

/* --- the decision --- */

/* The answer continues as if this filter had not been there; e is freed. */
static enum resp_result go_as_is(struct encoding *e, bool vary)
{
    struct req *r = e->req;
    r->ops = e->below;
    r->filtered = NULL;
    enum resp_result result =
        vary ? compress_edit_head(&e->head, &e->facts, SPAN(""), false, r, resp_begin) : resp_begin(r, &e->head);
    compress_free(e);
    return result;
}

static enum resp_result begin_below(struct req *r, const struct resp_head *head)
{
    r->ops = encoding_of(r)->below;
    enum resp_result result = resp_begin(r, head);
    if (!resp_failed(result))
        r->ops = &encoding_ops;
    return result;
}

static enum resp_result begin_coded(struct encoding *e, size_t n, bool more)
{
    const struct codec *codec = e->choice->codec;
    if (e->context && codec->expect && (!more || e->length >= 0))
        codec->expect(e->context, e->length >= 0 ? (uint64_t)e->length : n);
    e->stage = ENCODING_RUNS;
    e->req->answer_length = -1;
    return compress_edit_head(&e->head, &e->facts, span_of(coding_name(codec->coding)), true, e->req, begin_below);
}

/* Whether the first n bytes, and whether there will be more, make it worth while. An empty body that is all, without a
 * length, says nothing about the answer to GET, and is nothing to compress otherwise. */
static bool is_worth_it(const struct encoding *e, size_t n, bool more)
{
    if (e->length >= 0 || more)
        return true;
    return n && (e->needed || n >= e->z->conf->compress_min_size);
}

/* Begins the answer one way or the other. e is freed if it continues uncompressed: see r->filtered. */
static enum resp_result decide(struct encoding *e, size_t n, bool more)
{
    if (!is_worth_it(e, n, more) || (!e->req->answer_empty && !compress_take_context(e)))
        return go_as_is(e, true);
    return begin_coded(e, n, more);
}

enum resp_result compress_not(struct req *r)
{
    return encoding_of(r)->stage == ENCODING_UNDECIDED ? go_as_is(encoding_of(r), false) : RESP_SENT;
}

void compress_given(const struct req *r, int64_t *ret_length, uint64_t *ret_given)
{
    *ret_length = encoding_of(r)->length;
    *ret_given = encoding_of(r)->given;
}

void compress_withdraw(struct req *r)
{
    struct encoding *e = encoding_of(r);
    r->ops = e->below;
    r->filtered = NULL;
    compress_drop(&e->filtered);
}

bool compress_is_given(const struct req *r)
{
    const struct encoding *e = encoding_of(r);
    return e->stage != ENCODING_UNDECIDED && compress_has_left(e) && !e->more && !r->answer_trailers;
}

/* --- resp_ops --- */

/* A copy of what is left. -1: out of memory. */
static int keep_bytes(struct encoding *e, struct span bytes)
{
    if (buf_add(&e->kept, bytes.p, bytes.n) < 0)
        return -1;
    e->left = buf_span(&e->kept);
    return 0;
}

/* Keeps what follows the first piece for later turns. -1: out of memory. */
static int keep(struct encoding *e, struct span bytes)
{
    if (!e->req->lends)
        return keep_bytes(e, bytes);
    e->left = bytes;
    return 0;
}

static enum resp_result begin_piecewise(struct encoding *e, struct span bytes)
{
    if (keep(e, (struct span){ bytes.p + COMPRESS_PIECE, bytes.n - COMPRESS_PIECE }) < 0)
        return compress_fail(e);
    bytes.n = COMPRESS_PIECE;
    enum resp_result result = compress_run(e, bytes, CODEC_TAKE);
    if (resp_failed(result) || !compress_lives(e))
        return result;
    compress_queue(e);
    return RESP_LATER;
}

static enum resp_result encode(struct encoding *e, struct span bytes, bool more)
{
    enum resp_result result = compress_finish_left(e); /* a handler that did not wait has it compressed at once */
    if (resp_failed(result) || !compress_lives(e))
        return result;
    e->given += bytes.n;
    e->more = more;
    if (bytes.n > COMPRESS_PIECE && !e->req->answer_unbound)
        return begin_piecewise(e, bytes);
    if (!bytes.n && more)
        return compress_give(e, 0, true);
    return compress_run(e, bytes, compress_op(e));
}

static enum resp_result encoding_body(struct req *r, struct span bytes, bool more)
{
    struct encoding *e = encoding_of(r);
    enum resp_result result;
    if (e->stage == ENCODING_UNDECIDED) {
        const struct resp_ops *below = e->below;
        result = decide(e, bytes.n, more);
        if (resp_failed(result))
            return result;
        if (!r->filtered)
            return below->body(r, bytes, more);
    }
    if (r->answer_empty)
        return e->below->body(r, SPAN(""), more);
    assert(e->stage == ENCODING_RUNS);
    compress_enter(e);
    result = encode(e, bytes, more);
    e->owed |= result == RESP_LATER;
    compress_leave(e);
    return result;
}

static enum resp_result encoding_file(struct req *r, int fd, off_t offset, size_t count, bool more)
{
    struct encoding *e = encoding_of(r);
    compress_enter(e);
    enum resp_result result = compress_finish_left(e);
    if (!resp_failed(result) && compress_lives(e)) {
        e->given += count;
        e->more = more;
        e->fd = fd;
        e->file_at = offset;
        e->file_left = count;
        compress_queue(e);
        e->owed = true;
        result = RESP_LATER;
    }
    compress_leave(e);
    return result;
}

/* Trailers that are true of the coded bytes as well. */
static size_t choose_trailers(const struct resp_field *fields, size_t n, struct resp_field *to)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!compress_is_digest(fields[i].name))
            to[kept++] = fields[i];
    return kept;
}

static enum resp_result end_body(struct encoding *e)
{
    enum resp_result result = compress_finish_left(e);
    if (!resp_failed(result) && compress_lives(e) && e->context)
        result = compress_run(e, SPAN(""), CODEC_FINISH);
    return result;
}

static enum resp_result encoding_trailers(struct req *r, const struct resp_field *fields, size_t n, bool more)
{
    struct encoding *e = encoding_of(r);
    const struct resp_ops *below = e->below;
    if (e->stage == ENCODING_UNDECIDED) {
        enum resp_result result = go_as_is(e, true);
        return resp_failed(result) ? result : below->trailers(r, fields, n, more);
    }
    struct resp_field *kept = malloc((n + 1) * sizeof(*kept));
    if (!kept)
        return compress_fail(e);
    compress_enter(e);
    enum resp_result result = end_body(e);
    if (!resp_failed(result) && compress_lives(e))
        result = below->trailers(r, kept, choose_trailers(fields, n, kept), more);
    compress_leave(e);
    free(kept);
    return result;
}

static enum resp_result encoding_interim(struct req *r, unsigned status, const struct resp_field *fields, size_t n)
{
    return encoding_of(r)->below->interim(r, status, fields, n);
}

static void encoding_abort(struct req *r)
{
    encoding_of(r)->below->abort(r);
}

static void encoding_flush(struct req *r)
{
    encoding_of(r)->below->flush(r);
}

/* The protocol below was lent nothing. */
static void encoding_own(struct req *r)
{
    struct encoding *e = encoding_of(r);
    if (e->left.n && !buf_len(&e->kept) && keep_bytes(e, e->left) < 0)
        e->left.n = 0;
}

static void encoding_want_body(struct req *r)
{
    encoding_of(r)->below->want_body(r);
}

static void encoding_took_body(struct req *r)
{
    encoding_of(r)->below->took_body(r);
}

static void encoding_abandon(struct req *r)
{
    encoding_of(r)->below->abandon(r);
}

/* No upgrade follows the start of an answer. */
static const struct resp_ops encoding_ops = {
    .name = "encoding",
    .body = encoding_body,
    .file = encoding_file,
    .trailers = encoding_trailers,
    .interim = encoding_interim,
    .abort = encoding_abort,
    .flush = encoding_flush,
    .own = encoding_own,
    .want_body = encoding_want_body,
    .took_body = encoding_took_body,
    .abandon = encoding_abandon,
};
