/* SPDX-License-Identifier: BSD-3-Clause */
/* certs.c: a change counts once the files stay as they are from one look to the next, so that a certificate
 * and its key, which are two files, are taken up together. Workers put them to use in
 * tls/tls_set.c: tls_take(). */
#include "master/fleet/certs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdutil.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "common/tickets.h"
#include "common/vault.h"
#include "conf/conf.h"
#include "master/fleet/fleet.h"
#include "master/fleet/generation.h"

#define FILE_MOST (1u << 20)
#define WARN_DAYS 14
#define DAY_S (24L * 3600)
#define LOOK_MS 500ul /* and as much again for each */
#define LOOK_FILES 100 /* files that there are */

/* What is done with each file: noted for the stamp, or read as well. */
struct walk {
    struct vault *vault; /* NULL: nothing is read */
    uint64_t stamp;
    unsigned n_files;
    char *why;
    bool failed;
};

static void fail(struct walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct walk *w, const char *format, ...)
{
    va_list args;
    if (w->failed)
        return;
    w->failed = true;
    va_start(args, format);
    if (vasprintf(&w->why, format, args) < 0)
        w->why = NULL;
    va_end(args);
}

/* FNV-1a */
static void mix(struct walk *w, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        w->stamp = (w->stamp ^ ((const unsigned char *)p)[i]) * 0x100000001b3u;
}

static void note(struct walk *w, const char *path)
{
    struct stat st;
    w->n_files++;
    mix(w, path, strlen(path) + 1);
    if (stat(path, &st) < 0)
        return;
    mix(w, &st.st_dev, sizeof(st.st_dev));
    mix(w, &st.st_ino, sizeof(st.st_ino));
    mix(w, &st.st_size, sizeof(st.st_size));
    mix(w, &st.st_mtim.tv_sec, sizeof(st.st_mtim.tv_sec));
    mix(w, &st.st_mtim.tv_nsec, sizeof(st.st_mtim.tv_nsec));
}

/* Straight into the vault, so that no copy of a key stays behind. */
static void read_into(struct walk *w, enum vault_kind kind, const char *host, const char *path, int fd)
{
    size_t room, n = 0;
    char *to = vault_add(w->vault, kind, host, path, &room);
    if (!to) {
        fail(w, "%s: the files of [tls] are too large together", path);
        return;
    }
    if (room > FILE_MOST)
        room = FILE_MOST;
    ssize_t k;
    while ((k = read(fd, to + n, room - n)) > 0)
        n += (size_t)k;
    if (k < 0)
        fail(w, "%s: %s", path, strerror(errno));
    else if (n == room)
        fail(w, "%s: too large for a certificate or a key", path);
    else
        vault_added(w->vault, n);
}

/* certbot's folders are root's alone, and the master of the installed unit is not root. */
static void open_failed(struct walk *w, const char *path)
{
    if (errno == EACCES)
        fail(w, "%s: %s to user %u, who runs the master", path, strerror(errno), (unsigned)geteuid());
    else
        fail(w, "%s: %s", path, strerror(errno));
}

static void take_file(struct walk *w, enum vault_kind kind, const char *host, const char *path, bool needed)
{
    struct stat st;
    note(w, path);
    if (!w->vault || w->failed)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT && !needed)
        return;
    if (fd < 0)
        open_failed(w, path);
    else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        fail(w, "%s: not a regular file", path);
    else
        read_into(w, kind, host, path, fd);
    fd_close(&fd);
}

static int is_certificate(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 4 && strcmp(e->d_name + n - 4, ".crt") == 0 && e->d_name[0] != '.';
}

/* NAME.crt, NAME.key and, where it is there, NAME.ocsp */
static void take_host(struct walk *w, const char *dir, const char *file)
{
    static const struct {
        const char *suffix;
        enum vault_kind kind;
    } parts[] = { { "crt", VAULT_CERT }, { "key", VAULT_KEY }, { "ocsp", VAULT_OCSP } };
    int n = (int)strlen(file) - 4;
    char host[256], path[PATH_MAX];
    if (n >= (int)sizeof(host)) {
        fail(w, "%s/%s: the name is too long for a host", dir, file);
        return;
    }
    snprintf(host, sizeof(host), "%.*s", n, file);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        if (snprintf(path, sizeof(path), "%s/%s.%s", dir, host, parts[i].suffix) >= (int)sizeof(path))
            fail(w, "%s/%s: the path is too long", dir, file);
        else
            take_file(w, parts[i].kind, host, path, parts[i].kind != VAULT_OCSP);
    }
}

static void take_dir(struct walk *w, const char *dir)
{
    struct dirent **files = NULL;
    int n = scandir(dir, &files, is_certificate, alphasort);
    if (n < 0)
        fail(w, "tls.sni_dir %s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        take_host(w, dir, files[i]->d_name);
        free(files[i]);
    }
    free(files);
}

static void take_password(struct walk *w, const char *where)
{
    const char *value;
    size_t room;
    if (strncmp(where, "file:", 5) == 0) {
        take_file(w, VAULT_PASSWORD, "", where + 5, true);
        return;
    }
    if (!w->vault || w->failed)
        return;
    char *to = vault_add(w->vault, VAULT_PASSWORD, "", where, &room);
    if (!(value = getenv(where + strlen("env:"))))
        fail(w, "tls.key_password = %s: there is no such variable", where);
    else if (!to || strlen(value) >= room)
        fail(w, "the files of [tls] are too large together");
    else {
        memcpy(to, value, strlen(value));
        vault_added(w->vault, strlen(value));
    }
}

static void walk(struct walk *w, const struct conf_tls *tls)
{
    w->stamp = 0xcbf29ce484222325u;
    if (tls->key_password)
        take_password(w, tls->key_password);
    if (tls->certfile) {
        take_file(w, VAULT_CERT, "", tls->certfile, true);
        take_file(w, VAULT_KEY, "", tls->keyfile ? tls->keyfile : tls->certfile, true);
        if (tls->ocsp_file)
            take_file(w, VAULT_OCSP, "", tls->ocsp_file, false);
    }
    if (tls->sni_dir)
        take_dir(w, tls->sni_dir);
    if (tls->ca_certs)
        take_file(w, VAULT_CA, "", tls->ca_certs, true);
}

/* The stamp is taken on the same walk as the bytes: what changes in between shows at the next look. */
static int fill(struct certs *certs, const struct conf_tls *conf, char **ret_why)
{
    struct walk w = { .vault = certs->vault };
    vault_begin(certs->vault);
    walk(&w, conf);
    certs->stamp = certs->seen = w.stamp;
    if (w.failed) {
        *ret_why = w.why;
        vault_cancel(certs->vault, FILE_MOST);
        return -1;
    }
    vault_publish(certs->vault);
    return 0;
}

static bool is_needed(const struct conf *conf)
{
    for (size_t i = 0; i < conf->server.bind.n; i++)
        if (conf->server.bind.v[i].tls)
            return true;
    return false;
}

int certs_open(struct certs *certs, const struct conf *conf, char **ret_why)
{
    *ret_why = NULL;
    if (!is_needed(conf))
        return 0;
    certs->vault = vault_new();
    certs->look_ms = clock_ms() + LOOK_MS;
    return certs->vault ? fill(certs, &conf->tls, ret_why) : -1;
}

void certs_close(struct certs *certs)
{
    vault_free(certs->vault);
    certs->vault = NULL;
}

static void rotate_tickets(struct fleet *fleet)
{
    uint64_t now = clock_ms();
    if (!fleet->tickets_ms)
        fleet->tickets_ms = now + TICKETS_ROTATE_S * 1000;
    if (now < fleet->tickets_ms)
        return;
    fleet->tickets_ms = now + TICKETS_ROTATE_S * 1000;
    if (tickets_rotate(fleet->tickets) < 0)
        log_error("tls: no random bytes for new keys of session tickets: %s", strerror(errno));
}

/* The worker of the current generation whose certificate expires first; NULL: none has a certificate. */
static const struct score *first_to_expire(const struct fleet *fleet)
{
    const struct score *first = NULL;
    for (unsigned i = 0; i < fleet->slots.n; i++) {
        const struct slot *slot = &fleet->slots.v[i];
        const struct score *s = &fleet->scoreboard->slot[i];
        int64_t end = slot->generation == fleet->current && slot->state == SLOT_READY
                          ? atomic_load_explicit(&s->tls_expires, memory_order_acquire)
                          : 0;
        if (end && (!first || end < atomic_load_explicit(&first->tls_expires, memory_order_relaxed)))
            first = s;
    }
    return first;
}

static void warn_of_expiry(const struct fleet *fleet, struct certs *certs)
{
    const struct score *score = first_to_expire(fleet);
    time_t now = time(NULL), end = score ? (time_t)score->tls_expires : 0;
    char text[40];
    struct tm tm;
    if (!score || end - now > WARN_DAYS * DAY_S || (end == certs->warned && clock_ms() < certs->warn_ms))
        return;
    certs->warned = end;
    certs->warn_ms = clock_ms() + DAY_S * 1000;
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S GMT", gmtime_r(&end, &tm));
    if (end <= now)
        log_error("tls: %.*s: the certificate expired at %s: clients refuse it", SCORE_LINE, score->tls_expires_path,
                  text);
    else
        log_warning("tls: %.*s: the certificate ends at %s, in %lld days", SCORE_LINE, score->tls_expires_path, text,
                    (long long)(end - now) / DAY_S);
}

bool certs_tick(struct fleet *fleet)
{
    rotate_tickets(fleet);
    struct certs *certs = &fleet->current->certs;
    const struct conf_tls *conf = &fleet->current->conf->tls;
    if (certs->vault)
        warn_of_expiry(fleet, certs);
    struct walk w = { NULL };
    char *why = NULL;
    if (!certs->vault || !conf->watch || clock_ms() < certs->look_ms)
        return false;
    walk(&w, conf);
    free(w.why);
    certs->look_ms = clock_ms() + LOOK_MS * (1 + w.n_files / LOOK_FILES);
    bool quiet = w.stamp == certs->seen;
    certs->seen = w.stamp;
    if (!quiet || w.stamp == certs->stamp)
        return false;
    bool changed = fill(certs, conf, &why) == 0;
    if (changed)
        log_info("tls: the files have changed: workers take them up");
    else
        log_error("tls: the files have changed and cannot be read: %s; the old ones stay in use",
                  why ? why : "out of memory");
    free(why);
    return changed;
}
