/* SPDX-License-Identifier: BSD-3-Clause */
/* static_files.c: finds the file for a request, or one of its compressed siblings, below the configured folder. Never
 * waits for anything but the disk; keeps nothing of a file from one request to the next but the folder's descriptor, so
 * what changes in the folder is served at once. */
#include "worker/static/static_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/route.h"
#include "worker/static/static_answer.h"
#include "worker/static/static_open.h"
#include "worker/static/static_send.h"

struct static_files {
    struct handler handler; /* first */
    const struct conf_static *conf;
    struct span prefix;
    int folder; /* where a relative `dir` begins; not ours */
    struct static_root root;
    char cache_control[40]; /* "" = none */
    struct static_path path;
    char small[STATIC_SMALL_FILE];
};

/* --- finding --- */

static int open_root(struct static_root *root, const struct conf_static_files *files, int folder)
{
    return static_root_open(root, folder, files->dir, files->follow_symlinks);
}

/* The folder is the one that was there at the start, whatever has its name now: an application that is being deployed
 * keeps the files that belong to it. A folder that has been removed is of no use: then its successor is taken. */
static bool renew_root(struct static_files *s)
{
    struct static_root fresh;
    if (!static_root_is_removed(&s->root) || open_root(&fresh, &s->conf->files, s->folder) < 0)
        return false;
    static_root_close(&s->root);
    s->root = fresh;
    return true;
}

/* The descriptor, or -1 with errno; 0 bytes is a file too. */
static int open_and_stat(const struct static_root *root, const char *path, struct stat *st)
{
    int fd = static_root_file(root, path);
    if (fd >= 0 && fstat(fd, st) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool older(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* FILE.br beside FILE, unless it was made from an older one. Takes its place in *f. */
static bool take_sibling(struct static_files *s, struct static_found *f, enum coding coding)
{
    static const char *const suffixes[N_CODINGS] = { "", ".gz", ".br", ".zst" };
    struct stat st;
    memcpy(s->path.s + s->path.n, suffixes[coding], strlen(suffixes[coding]) + 1);
    int fd = open_and_stat(&s->root, s->path.s, &st);
    s->path.s[s->path.n] = '\0';
    if (fd < 0)
        return false;
    if (!S_ISREG(st.st_mode) || older(&st.st_mtim, &f->st.st_mtim)) {
        close(fd);
        return false;
    }
    close(f->fd);
    f->fd = fd;
    f->st = st;
    f->coding = coding;
    return true;
}

/* The coding with the highest weight of those that are there; on a tie the one that usually is smallest. False: none is
 * acceptable, the file itself included. */
static bool negotiate(struct static_files *s, struct req *r, struct static_found *f)
{
    static const enum coding order[] = { CODING_BR, CODING_ZSTD, CODING_GZIP };
    if (!s->conf->files.precompressed || f->mime.packed)
        return true;
    f->varies = true;
    struct accept_encoding a = accept_encoding_of(r);
    unsigned tried = 0;
    for (;;) {
        int best = -1;
        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
            unsigned short weight = a.weight[order[i]];
            if (!(tried & 1u << i) && weight && weight >= a.weight[CODING_IDENTITY] &&
                (best < 0 || weight > a.weight[order[best]]))
                best = (int)i;
        }
        if (best < 0)
            return a.weight[CODING_IDENTITY] > 0;
        if (take_sibling(s, f, order[best]))
            return true;
        tried |= 1u << best;
    }
}

/* Into s->path, then f->fd and f->st; false: answered. */
static bool find(struct static_files *s, struct req *r, struct static_found *f)
{
    const char *index = s->conf->files.index;
    struct span path = req_span(r, r->path);
    size_t skip = route_match(s->prefix, path);
    struct span rest = { path.p + skip, path.n - skip };
    if (!static_path_decode(&s->path, rest)) {
        static_answer_status(r, 404);
        return false;
    }
    if (s->path.slash && rest.n) {
        size_t n = index ? strlen(index) : 0;
        if (!n || s->path.n + n >= PATH_MAX) {
            static_answer_status(r, 404);
            return false;
        }
        memcpy(s->path.s + s->path.n, index, n + 1);
        s->path.n += n;
    }
    f->fd = open_and_stat(&s->root, s->path.s, &f->st);
    if (f->fd < 0 && errno == ENOENT && renew_root(s))
        f->fd = open_and_stat(&s->root, s->path.s, &f->st);
    if (f->fd < 0) {
        static_answer_errno(r, errno);
        return false;
    }
    if (S_ISREG(f->st.st_mode))
        return true;
    close(f->fd);
    if (S_ISDIR(f->st.st_mode) && index && (!s->path.slash || !rest.n))
        static_answer_add_slash(r);
    else
        static_answer_status(r, 404);
    return false;
}

static void on_request(struct handler *h, struct req *r)
{
    struct static_files *s = (struct static_files *)h;
    struct static_found f = { .coding = CODING_IDENTITY, .cache_control = s->cache_control, .small = s->small };
    if (!r->is_head && !span_eq(req_span(r, r->method), SPAN("GET"))) {
        static_answer_no_method(r);
        return;
    }
    if (!find(s, r, &f))
        return;
    f.mime = static_mime_of((struct span){ s->path.s, s->path.n });
    if (!negotiate(s, r, &f)) {
        close(f.fd);
        static_answer_no_coding(r);
        return;
    }
    static_found_describe(&f);
    static_answer_file(r, &f);
}

static void on_body(struct req *r)
{
}

static void on_drained(struct req *r)
{
    if (r->user)
        static_job_send(r->user, r);
}

static void on_peer_eof(struct req *r)
{
}

static void on_end(struct req *r, enum req_end why)
{
    static_job_free(r->user);
    r->user = NULL;
}

static const struct handler_ops ops = {
    .name = "static",
    .on_request = on_request,
    .on_body = on_body,
    .on_drained = on_drained,
    .on_peer_eof = on_peer_eof,
    .on_end = on_end,
};

struct handler *static_files_new(const struct conf_static *conf, int folder)
{
    struct static_files *s = malloc(sizeof(*s));
    if (!s)
        return NULL;
    s->handler.ops = &ops;
    s->conf = conf;
    s->prefix = span_of(conf->prefix);
    s->folder = folder;
    s->cache_control[0] = '\0';
    if (conf->files.expires)
        snprintf(s->cache_control, sizeof(s->cache_control), "max-age=%llu",
                 (unsigned long long)(conf->files.expires / 1000));
    if (open_root(&s->root, &conf->files, folder) < 0) {
        int error = errno;
        free(s);
        errno = error;
        return NULL;
    }
    return &s->handler;
}

void static_files_free(struct handler *h)
{
    struct static_files *s = (struct static_files *)h;
    static_root_close(&s->root);
    free(s);
}
