/* SPDX-License-Identifier: BSD-3-Clause */
/* h2_memory.c: what a connection of HTTP/2 makes us keep: by nghttp2, which gets its memory here, of requests, whose
 * fields may be thousands of times what was sent for them (RFC 7541 7.3), and of answers that the client does not take. */
#include <config.h>
#include <malloc.h>
#include <stdlib.h>

#include "worker/http2/h2_priv.h"

#if TINE_FAULT_INJECTION
/* Calls of ours fail on demand in a program that is linked for it. What nghttp2 makes of a failed allocation is its own
 * affair. */
void *__real_malloc(size_t n) __attribute__((weak));
void *__real_calloc(size_t n, size_t size) __attribute__((weak));
void *__real_realloc(void *p, size_t n) __attribute__((weak));
#define malloc(n) (__real_malloc ? __real_malloc(n) : malloc(n))
#define calloc(n, size) (__real_calloc ? __real_calloc(n, size) : calloc(n, size))
#define realloc(p, n) (__real_realloc ? __real_realloc(p, n) : realloc(p, n))
#endif

/* What nghttp2 has for every connection, with a stream or two: not counted. */
#define LIBRARY_USUAL (16u << 10)

/* nghttp2 makes each frame in a buffer of more than 16 KB, which its session has from the first to the last. It is only
 * used inside nghttp2_session_mem_send(), whose result h2_send() copies at once, so all sessions of a worker share one. It
 * is the first piece of this size that a session asks for while it is made; should another version ask for other sizes,
 * each session has its own. */
#define FRAME_BUFFER_LEAST (16u << 10)
#define FRAME_BUFFER_MOST (17u << 10)

static void *counted(struct h2_conn *h, void *p)
{
    if (likely(p != NULL))
        h->library += malloc_usable_size(p);
    return p;
}

static bool is_shared(const struct h2_conn *h, const void *p)
{
    return p == h2_shared(h)->frame_buffer && p;
}

static void *get(size_t n, void *arg)
{
    return counted(arg, malloc(n));
}

static void *get_zeroed(size_t n, size_t size, void *arg)
{
    return counted(arg, calloc(n, size));
}

static void let_go(void *p, void *arg)
{
    struct h2_conn *h = arg;
    if (unlikely(!p || is_shared(h, p)))
        return;
    h->library -= malloc_usable_size(p);
    free(p);
}

/* The buffer of frames does not grow: nghttp2 chains others to it, and frees them with the frame. */
static void *resize(void *p, size_t n, void *arg)
{
    struct h2_conn *h = arg;
    struct h2_shared *sh = h2_shared(h);
    if (unlikely(!p && !h->session && !h->has_frame_buffer && n >= FRAME_BUFFER_LEAST && n <= FRAME_BUFFER_MOST)) {
        if (!sh->frame_buffer)
            sh->frame_buffer = malloc(FRAME_BUFFER_MOST);
        h->has_frame_buffer = true;
        return sh->frame_buffer;
    }
    if (unlikely(p && is_shared(h, p))) {
        void *own = n <= FRAME_BUFFER_MOST ? p : malloc(n);
        return own && own != p ? counted(h, memcpy(own, p, FRAME_BUFFER_MOST)) : own;
    }
    size_t before = p ? malloc_usable_size(p) : 0;
    void *q = realloc(p, n);
    if (likely(q != NULL))
        h->library += malloc_usable_size(q) - before;
    return q;
}

nghttp2_mem h2_memory_of(struct h2_conn *h)
{
    return (nghttp2_mem){ .mem_user_data = h, .malloc = get, .free = let_go, .calloc = get_zeroed, .realloc = resize };
}

/* --- counting --- */

static size_t weight_in(const struct h2_stream *s)
{
    const struct req *r = &s->req;
    return sizeof(*s) + s->head.cap + buf_len(&s->head) + r->cap_fields * sizeof(*r->fields) +
           (buf_len(&r->body) ? r->body.cap : 0);
}

static size_t weight_out(const struct h2_stream *s)
{
    return s->pending ? s->out.cap + s->tail.cap + s->trailers.cap + s->nv_cap : 0;
}

bool h2_hold_in(struct h2_stream *s)
{
    return conn_hold(s->h->conn, &s->in_kept, weight_in(s));
}

void h2_weigh_in(struct h2_stream *s)
{
    conn_keep(s->h->conn, &s->in_kept, weight_in(s));
}

void h2_weigh_out(struct h2_stream *s)
{
    struct conn *c = s->h->conn;
    conn_keep(c, &s->out_kept, weight_out(s));
    if (unlikely(s->lent.n != s->lent_kept))
        memory_lend(&c->net->memory, &c->share, &s->lent_kept, s->lent.n);
}

void h2_weigh_nothing(struct h2_stream *s)
{
    conn_keep(s->h->conn, &s->in_kept, 0);
    h2_weigh_out(s); /* which has none */
}

static bool hold_head(struct h2_conn *h)
{
    size_t n = unlikely(h->in_head && h->head) ? weight_in(h->head) : 0;
    return likely(n == h->head_kept) || conn_hold(h->conn, &h->head_kept, n);
}

static size_t weight_library(const struct h2_conn *h)
{
    return unlikely(h->library > LIBRARY_USUAL) ? h->library : 0;
}

void h2_weigh_library(struct h2_conn *h)
{
    if (unlikely(h->library_kept))
        conn_keep(h->conn, &h->library_kept, weight_library(h));
}

bool h2_hold_library(struct h2_conn *h)
{
    size_t n = weight_library(h);
    return (likely(n == h->library_kept) || conn_hold(h->conn, &h->library_kept, n)) && hold_head(h);
}
