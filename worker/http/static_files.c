/* static_files.c: see static_files.h. From a request to a file and the head of its answer: which file, which of its
 * compressed siblings, which conditions. Never waits for anything but the disk; keeps nothing of a file from one request
 * to the next but the folder's descriptor, so what is deployed is served at once. */
#include "worker/http/static_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "conf/conf.h"
#include "worker/http/accept_encoding.h"
#include "worker/http/handler.h"
#include "worker/http/req.h"
#include "worker/http/route.h"
#include "worker/http/static_cond.h"
#include "worker/http/static_mime.h"
#include "worker/http/static_path.h"
#include "worker/http/static_send.h"

/* Files up to this size are read and leave with their head in one write, which is cheaper than sendfile(2). */
#define SMALL_FILE (32u << 10)
/* A folder that was replaced as a whole is noticed after this time. */
#define ROOT_LIFE_NS 1000000000u
#define MOST_FIELDS 10

struct static_files {
    struct handler handler; /* first */
    const struct conf_static *conf;
    struct span prefix;
    struct static_root root;
    uint64_t root_opened_ns;
    char cache_control[40]; /* "" = none */
    struct static_path path;
    char small[SMALL_FILE];
};

/* A file that was found, and what its answer will say of it. */
struct found {
    int fd;
    struct stat st;
    struct static_mime mime;
    enum coding coding;
    bool varies;
    char etag[64], modified[HTTP_DATE_LEN + 1];
    struct static_validators v;
};

struct fields {
    struct resp_field v[MOST_FIELDS];
    size_t n;
};

static void add(struct fields *f, struct span name, struct span value)
{
    f->v[f->n++] = (struct resp_field){ name, value };
}

/* --- answers without a file --- */

/* A line of text that names the status; unlike resp_error() it keeps the connection, for nothing is wrong with it. */
static void answer_status(struct req *r, unsigned status, struct fields *f)
{
    char text[80], length[24];
    int n = snprintf(text, sizeof text, "%u %s\n", status, resp_reason(status));
    int m = snprintf(length, sizeof length, "%d", n);
    add(f, SPAN("content-type"), SPAN("text/plain; charset=utf-8"));
    add(f, SPAN("content-length"), (struct span){ length, (size_t)m });
    struct resp_head head = { .status = status, .fields = f->v, .n_fields = f->n };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, (struct span){ text, (size_t)n }, false);
}

static void answer_error(struct req *r, unsigned status)
{
    answer_status(r, status, &(struct fields){ 0 });
}

/* The file system said no. What may not be read is not there as far as anybody outside is concerned. */
static void answer_errno(struct req *r, int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        answer_error(r, 503);
        break;
    case EIO:
        answer_error(r, 500);
        break;
    default:
        answer_error(r, 404);
    }
}

/* /docs -> /docs/, so that relative links in the index lead where they should. */
static void answer_add_slash(struct req *r)
{
    struct span path = req_span(r, r->path), query = req_span(r, r->query);
    char *to = malloc(path.n + query.n + 2);
    if (!to) {
        answer_error(r, 503);
        return;
    }
    size_t n = path.n;
    memcpy(to, path.p, n);
    to[n++] = '/';
    if (query.n) {
        to[n++] = '?';
        memcpy(to + n, query.p, query.n);
        n += query.n;
    }
    struct fields f = { 0 };
    add(&f, SPAN("location"), (struct span){ to, n });
    answer_status(r, 301, &f);
    free(to);
}

/* --- finding --- */

/* A folder is opened again now and then: it may have been replaced by another of the same name. */
static void look_after_root(struct static_files *s, uint64_t now_ns)
{
    if (now_ns - s->root_opened_ns < ROOT_LIFE_NS)
        return;
    struct static_root fresh;
    s->root_opened_ns = now_ns;
    if (static_root_open(&fresh, s->conf->files.dir) < 0)
        return;
    static_root_close(&s->root);
    s->root = fresh;
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
static bool take_sibling(struct static_files *s, struct found *f, enum coding coding)
{
    static const char *const suffixes[N_CODINGS] = { "", ".gz", ".br", ".zst" };
    struct stat st;
    strcpy(s->path.s + s->path.n, suffixes[coding]);
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
static bool negotiate(struct static_files *s, struct req *r, struct found *f)
{
    static const enum coding order[] = { CODING_BR, CODING_ZSTD, CODING_GZIP };
    if (!s->conf->files.precompressed || f->mime.packed)
        return true;
    f->varies = true;
    struct accept_encoding a = accept_encoding_of(r);
    unsigned tried = 0;
    for (;;) {
        int best = -1;
        for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
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

/* RFC 9110 8.8: changes with every write that the file system's clock can tell apart; a sibling has its own. */
static void describe(struct found *f)
{
    int n = snprintf(f->etag, sizeof f->etag, "\"%llx-%llx-%llx\"",
                     (unsigned long long)f->st.st_mtim.tv_sec * 1000000000u + (unsigned long long)f->st.st_mtim.tv_nsec,
                     (unsigned long long)f->st.st_size, (unsigned long long)f->st.st_ino);
    f->v.etag = (struct span){ f->etag, (size_t)n };
    f->v.now = time(NULL);
    /* Never later than Date (8.8.2.1). */
    f->v.modified = f->st.st_mtim.tv_sec < f->v.now ? f->st.st_mtim.tv_sec : f->v.now;
    http_date_of(f->v.modified, f->modified);
}

/* --- answering --- */

/* Fields that 200, 206 and 304 share (15.4.5). */
static void add_common(const struct static_files *s, const struct found *f, struct fields *to)
{
    add(to, SPAN("etag"), f->v.etag);
    if (f->varies)
        add(to, SPAN("vary"), SPAN("accept-encoding"));
    if (s->cache_control[0])
        add(to, SPAN("cache-control"), span_of(s->cache_control));
}

/* A small file leaves with its head; `at` and `n` are inside of it. False: it has to be sent another way. */
static bool send_small(struct static_files *s, struct req *r, struct found *f, uint64_t at, uint64_t n,
                       const struct resp_head *head)
{
    if (n > SMALL_FILE || pread(f->fd, s->small, n, (off_t)at) != (ssize_t)n)
        return false;
    close(f->fd);
    if (resp_start(r, head) == RESP_SENT)
        (void)!resp_body(r, (struct span){ s->small, n }, false);
    return true;
}

/* 200, or 206 with n > 0 parts. */
static void answer_file(struct static_files *s, struct req *r, struct found *f, const struct static_range *parts,
                        size_t n)
{
    char length[24], content_range[80];
    struct fields fields = { 0 };
    uint64_t size = (uint64_t)f->st.st_size;
    const struct static_range whole = { 0, size }, *one = n ? parts : &whole;
    struct static_job *job = NULL;
    struct span type = f->mime.type;
    uint64_t all = one->n;
    if (!r->is_head && (n > 1 || one->n > SMALL_FILE) && !(job = static_job_new(f->fd, size, type))) {
        close(f->fd);
        answer_error(r, 503);
        return;
    }
    if (job && n) {
        static_job_parts(job, parts, n);
        type = static_job_type(job);
        all = static_job_length(job);
    }
    add(&fields, SPAN("content-type"), type);
    add(&fields, SPAN("content-length"),
        (struct span){ length, (size_t)sprintf(length, "%llu", (unsigned long long)all) });
    add(&fields, SPAN("last-modified"), (struct span){ f->modified, HTTP_DATE_LEN });
    add(&fields, SPAN("accept-ranges"), SPAN("bytes"));
    if (f->coding != CODING_IDENTITY)
        add(&fields, SPAN("content-encoding"), span_of(coding_name(f->coding)));
    if (n == 1) {
        int m = sprintf(content_range, "bytes %llu-%llu/%llu", (unsigned long long)one->at,
                        (unsigned long long)(one->at + one->n - 1), (unsigned long long)size);
        add(&fields, SPAN("content-range"), (struct span){ content_range, (size_t)m });
    }
    add_common(s, f, &fields);
    struct resp_head head = { .status = n ? 206 : 200, .fields = fields.v, .n_fields = fields.n };
    if (r->is_head) {
        close(f->fd);
        if (resp_start(r, &head) == RESP_SENT)
            (void)!resp_body(r, SPAN(""), false);
        return;
    }
    if (!job && send_small(s, r, f, one->at, one->n, &head))
        return;
    if (!job && !(job = static_job_new(f->fd, size, type))) {
        close(f->fd);
        answer_error(r, 503);
        return;
    }
    if (n == 1)
        static_job_parts(job, parts, 1);
    r->user = job;
    if (resp_start(r, &head) == RESP_SENT)
        static_job_send(job, r);
}

static void answer_not_modified(struct static_files *s, struct req *r, const struct found *f)
{
    struct fields fields = { 0 };
    add_common(s, f, &fields);
    struct resp_head head = { .status = 304, .fields = fields.v, .n_fields = fields.n };
    if (resp_start(r, &head) == RESP_SENT)
        (void)!resp_body(r, SPAN(""), false);
}

static void answer_no_range(struct req *r, const struct found *f)
{
    char text[40];
    struct fields fields = { 0 };
    int n = sprintf(text, "bytes */%llu", (unsigned long long)f->st.st_size);
    add(&fields, SPAN("content-range"), (struct span){ text, (size_t)n });
    add(&fields, SPAN("accept-ranges"), SPAN("bytes"));
    answer_status(r, 416, &fields);
}

/* The Range field, if it is there once, and the method gives it a meaning (14.2). */
static struct span range_of(const struct req *r)
{
    struct span found = { NULL, 0 };
    for (uint32_t i = 0; i < r->n_fields && !r->is_head; i++) {
        if (!span_eq(req_span(r, r->fields[i].name), SPAN("range")))
            continue;
        if (found.p)
            return (struct span){ NULL, 0 };
        found = req_span(r, r->fields[i].value);
    }
    return found;
}

static void answer(struct static_files *s, struct req *r, struct found *f)
{
    struct static_range parts[STATIC_RANGES_MOST];
    size_t n = 0;
    switch (static_cond_judge(r, &f->v)) {
    case STATIC_COND_NOT_MODIFIED:
        close(f->fd);
        answer_not_modified(s, r, f);
        return;
    case STATIC_COND_FAILED:
        close(f->fd);
        answer_error(r, 412);
        return;
    case STATIC_COND_GO_ON:
        break;
    }
    struct span range = range_of(r);
    if (range.p && static_cond_range(r, &f->v)) {
        enum static_range_result result = static_range_parse(range, (uint64_t)f->st.st_size, parts, &n);
        if (result == STATIC_RANGE_NONE) {
            close(f->fd);
            answer_no_range(r, f);
            return;
        }
        n = result == STATIC_RANGE_PARTS ? n : 0;
    }
    answer_file(s, r, f, parts, n);
}

/* Into s->path, then f->fd and f->st; false: answered. */
static bool find(struct static_files *s, struct req *r, struct found *f)
{
    const char *index = s->conf->files.index;
    struct span path = req_span(r, r->path);
    size_t skip = route_match(s->prefix, path);
    struct span rest = { path.p + skip, path.n - skip };
    if (!static_path_decode(&s->path, rest)) {
        answer_error(r, 404);
        return false;
    }
    if (s->path.slash && rest.n) {
        size_t n = index ? strlen(index) : 0;
        if (!n || s->path.n + n >= PATH_MAX) {
            answer_error(r, 404);
            return false;
        }
        memcpy(s->path.s + s->path.n, index, n + 1);
        s->path.n += n;
    }
    f->fd = open_and_stat(&s->root, s->path.s, &f->st);
    if (f->fd < 0) {
        answer_errno(r, errno);
        return false;
    }
    if (S_ISREG(f->st.st_mode))
        return true;
    close(f->fd);
    if (S_ISDIR(f->st.st_mode) && index && (!s->path.slash || !rest.n))
        answer_add_slash(r);
    else
        answer_error(r, 404);
    return false;
}

static void on_request(struct handler *h, struct req *r)
{
    struct static_files *s = (struct static_files *)h;
    struct found f = { .coding = CODING_IDENTITY };
    if (!r->is_head && !span_eq(req_span(r, r->method), SPAN("GET"))) {
        struct fields fields = { 0 };
        add(&fields, SPAN("allow"), SPAN("GET, HEAD"));
        answer_status(r, 405, &fields);
        return;
    }
    look_after_root(s, r->started_ns);
    if (!find(s, r, &f))
        return;
    f.mime = static_mime_of((struct span){ s->path.s, s->path.n });
    if (!negotiate(s, r, &f)) {
        struct fields fields = { 0 };
        close(f.fd);
        add(&fields, SPAN("vary"), SPAN("accept-encoding"));
        answer_status(r, 406, &fields);
        return;
    }
    describe(&f);
    answer(s, r, &f);
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

struct handler *static_files_new(const struct conf_static *conf)
{
    struct static_files *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    s->handler.ops = &ops;
    s->conf = conf;
    s->prefix = span_of(conf->prefix);
    s->root_opened_ns = clock_ns();
    s->cache_control[0] = '\0';
    if (conf->files.expires)
        snprintf(s->cache_control, sizeof s->cache_control, "max-age=%llu",
                 (unsigned long long)(conf->files.expires / 1000));
    if (static_root_open(&s->root, conf->files.dir) < 0) {
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
