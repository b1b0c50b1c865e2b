/* SPDX-License-Identifier: BSD-3-Clause */
/* compress.c: the policy of compress.h: what is eligible, which coding, how much memory. Never looks at a body. */
#include "worker/coding/compress.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "worker/coding/compress_priv.h"
#include "worker/coding/compress_types.h"
#include "worker/http/req.h"

static const struct resp_filter_ops compress_filter_ops;

/* --- life --- */

static enum coding coding_of(const char *name)
{
    for (int c = CODING_GZIP; c < N_CODINGS; c++)
        if (!strcasecmp(name, coding_name((enum coding)c)))
            return (enum coding)c;
    return CODING_IDENTITY;
}

int compressor_new(struct event_base *base, const struct conf_http *conf, struct compressor **ret)
{
    struct compressor *z = NULL;
    for (size_t i = 0; i < conf->compress.n; i++) {
        enum coding coding = coding_of(conf->compress.v[i]);
        const struct codec *codec = coding == CODING_IDENTITY ? NULL : codec_of(coding);
        if (!codec) /* "off": conf_check.c lets nothing else through */
            continue;
        if (!z && !(z = calloc(1, sizeof(*z))))
            return -1;
        z->choices[z->n_choices++].codec = codec;
    }
    if (z) {
        z->filter.ops = &compress_filter_ops;
        z->conf = conf;
        TAILQ_INIT(&z->queue);
        evtimer_assign(&z->turn, base, compress_on_turn, z);
    }
    *ret = z;
    return 0;
}

struct resp_filter *compressor_filter(struct compressor *z)
{
    return z ? &z->filter : NULL;
}

void compressor_free(struct compressor *z)
{
    if (!z)
        return;
    evtimer_del(&z->turn);
    for (size_t i = 0; i < z->n_choices; i++) {
        struct compress_choice *choice = &z->choices[i];
        while (choice->n_idle)
            choice->codec->close(choice->idle[--choice->n_idle]);
    }
    free(z);
}

/* --- the choice --- */

/* The client's preference first, then ours. NULL: the answer goes out as it is. */
static struct compress_choice *choose(struct compressor *z, const struct req *r, bool *ret_needed)
{
    struct accept_encoding accepts = accept_encoding_of(r);
    struct compress_choice *best = NULL;
    unsigned weight = accepts.weight[CODING_IDENTITY];
    *ret_needed = !weight;
    for (size_t i = 0; i < z->n_choices; i++) {
        unsigned w = accepts.weight[z->choices[i].codec->coding];
        if (w && (w > weight || (w == weight && !best))) {
            best = &z->choices[i];
            weight = w;
        }
    }
    return best;
}

/* Whether this answer may be compressed for a client that asks for it. */
static bool is_eligible(const struct compressor *z, const struct req *r, const struct compress_facts *f)
{
    bool has_whole_body = r->status != 204 && r->status != 205 && r->status != 206 && r->status != 304;
    return has_whole_body && r->answer_length != 0 && !f->fixed && !f->ranged &&
           compress_type_fits(&z->conf->compress_types, f->type);
}

/* Of several parts, whose own type is inside. */
static bool is_byteranges(struct span type)
{
    static const char name[] = "multipart/byteranges";
    return type.n >= sizeof(name) - 1 && !strncasecmp(type.p, name, sizeof(name) - 1);
}

/* Whether this is about an answer that may be compressed for others, though itself it has nothing that could be: 304 and
 * 206 say what the 200 would have said of Vary (RFC 9110 15.3.7, 15.4.5). What they leave out of the 200's fields is
 * taken for a reason to vary: one too many costs a cache some copies, one too few has it send the wrong one. */
static bool stands_for_eligible(const struct compressor *z, const struct req *r, const struct compress_facts *f)
{
    if ((r->status != 304 && r->status != 206) || f->fixed)
        return false;
    return !f->type.n || is_byteranges(f->type) || compress_type_fits(&z->conf->compress_types, f->type);
}

/* The application knows its strong ETag; what the client has was compressed, if it came with the weak form of the same
 * (RFC 9110 15.4.5: a 304 says what the 200 would have said). */
static bool was_weakened(const struct req *r, const struct compress_facts *f)
{
    struct span known = req_field(r, SPAN("if-none-match"));
    char weak[256];
    if (r->status != 304 || !f->etag.n || f->etag.p[0] != '"' || f->etag.n + 2 > sizeof(weak) || !known.n)
        return false;
    memcpy(weak, "W/", 2);
    memcpy(weak + 2, f->etag.p, f->etag.n);
    return memmem(known.p, known.n, weak, f->etag.n + 2) != NULL;
}

static enum resp_result compress_start(struct resp_filter *f, struct req *r, const struct resp_head *head)
{
    struct compressor *z = (struct compressor *)f;
    struct compress_facts facts = compress_read_head(head);
    bool needed, small;
    if (!is_eligible(z, r, &facts)) {
        if (stands_for_eligible(z, r, &facts))
            return compress_edit_head(head, &facts, SPAN(""), was_weakened(r, &facts), r, resp_begin);
        return resp_begin(r, head);
    }
    struct compress_choice *choice = choose(z, r, &needed);
    small = r->answer_length >= 0 && (uint64_t)r->answer_length < z->conf->compress_min_size && !needed;
    /* HTTP/1.0: a cache may not know Vary, and there are no chunks for what grows. */
    if (!choice || small || r->version == HTTP_1_0)
        return compress_edit_head(head, &facts, SPAN(""), false, r, resp_begin);
    if (compress_stream_open(z, r, head, choice, needed) == 0)
        return RESP_SENT;
    return compress_edit_head(head, &facts, SPAN(""), false, r, resp_begin);
}

static const struct resp_filter_ops compress_filter_ops = {
    .name = "compress",
    .start = compress_start,
    .before_file = compress_not,
    .withdraw = compress_withdraw,
    .given = compress_given,
    .is_given = compress_is_given,
    .drained = compress_drained,
    .drop = compress_drop,
};
