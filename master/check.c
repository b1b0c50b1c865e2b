/* SPDX-License-Identifier: BSD-3-Clause */
/* check.c: opens and closes what the service will open. Must never leave a trace: no file is made, no socket listens. */
#include "master/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdutil.h"
#include "common/heritage.h"
#include "conf/conf.h"
#include "conf/conf_load.h"
#include "conf/conf_number.h"
#include "conf/log_dest.h"
#include "master/fleet/certs.h"
#include "master/listen/busy.h"
#include "master/service.h"
#include "master/system/privs.h"

struct check {
    const struct conf_loaded *loaded;
    const struct conf *conf;
    int status;
};

static void say(const struct check *c, const char *section, const char *key, const char *format, va_list args)
{
    char *origin = conf_origin(c->loaded, section, key);
    fprintf(stderr, "%s: %s.%s: ", origin ? origin : "?", section, key);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    free(origin);
}

static void fault(struct check *c, int status, const char *section, const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static void fault(struct check *c, int status, const char *section, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(c, section, key, format, args);
    va_end(args);
    if (c->status == SERVICE_EXIT_OK)
        c->status = status;
}

static void warn(const struct check *c, const char *section, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void warn(const struct check *c, const char *section, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("warning: ", stderr);
    say(c, section, key, format, args);
    va_end(args);
}

/* --- files --- */

/* Whether a file can be written, or made in its folder. 0, or -1 with errno. */
static int can_write(const char *path)
{
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
        return 0;
    if (errno != ENOENT)
        return -1;
    const char *slash = strrchr(path, '/');
    char *folder = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    int rc = folder ? faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) : -1;
    free(folder);
    return rc;
}

/* Below /run a unit makes its folder when it starts, and removes it when it stops. */
static void check_file(struct check *c, const char *section, const char *key, const char *path)
{
    struct stat st;
    if (!path)
        return;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        fault(c, SERVICE_EXIT_SYSTEM, section, key, "%s is a folder", path);
    else if (can_write(path) == 0)
        return;
    else if (errno == ENOENT && strncmp(path, "/run/", strlen("/run/")) == 0)
        warn(c, section, key, "%s: its folder is not there; this is no fault if the unit makes it (RuntimeDirectory=)",
             path);
    else
        fault(c, SERVICE_EXIT_SYSTEM, section, key, "%s cannot be written: %s", path, strerror(errno));
}

static void check_log(struct check *c, const char *key, const char *dest)
{
    if (dest && strcmp(dest, "-") != 0 && log_dest_parse(dest).kind == LOG_DEST_FILE)
        check_file(c, "log", key, dest);
}

static void check_statics(struct check *c)
{
    for (size_t i = 0; i < c->conf->n_statics; i++) {
        const struct conf_static *files = &c->conf->statics[i];
        char section[128];
        int fd = open(files->files.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        snprintf(section, sizeof(section), "static:%s", files->prefix);
        if (fd < 0)
            fault(c, SERVICE_EXIT_CONF, section, "dir", "%s: %s", files->files.dir, strerror(errno));
        fd_close(&fd);
    }
}

/* --- what runs --- */

static void check_user(struct check *c)
{
    struct privs privs;
    if (privs_resolve(&privs, &c->conf->server) < 0 && c->status == SERVICE_EXIT_OK)
        c->status = SERVICE_EXIT_CONF; /* logged, with its key */
    privs_done(&privs);
}

static void check_python(struct check *c)
{
    char *why = NULL;
    if (worker_check_python(&c->conf->app, &why) < 0) {
        /* It may start with the key. */
        const char *text = why && strncmp(why, "app.", 4) == 0 && strchr(why, ' ') ? strchr(why, ' ') + 1 : why;
        fault(c, SERVICE_EXIT_CONF, "app", c->conf->app.python ? "python" : "venv", "%s",
              text ? text : "out of memory");
    }
    free(why);
}

static void check_certificates(struct check *c)
{
    struct certs certs = { 0 };
    char *why = NULL;
    if (certs_open(&certs, c->conf, &why) < 0)
        fault(c, SERVICE_EXIT_CONF, "tls", c->conf->tls.certfile ? "certfile" : "sni_dir", "%s",
              why ? why : "out of memory");
    else
        certs_close(&certs);
    free(why);
}

/* What a worker has without clients: an interpreter and a small application. */
#define IDLE_WORKER (64u << 20)

/* Nothing is wrong with a worker that keeps for its clients what it may. */
static void check_memory(struct check *c)
{
    uint64_t most = c->conf->server.max_worker_memory, kept = c->conf->http.limit_memory;
    if (most && !conf_memory_percent(most) && most < kept + IDLE_WORKER)
        warn(c, "server", "max_worker_memory",
             "%" PRIu64 " MB can be exceeded by what a worker keeps for its clients (http.limit_memory, %" PRIu64
             " MB) and its application",
             most >> 20, kept >> 20);
}

/* --- addresses --- */

static void bind_failed(struct check *c, const char *section, const struct conf_bind *bind, const struct addrinfo *ai)
{
    int why = errno;
    char *holder = why == EADDRINUSE ? busy_holder(ai->ai_addr) : NULL;
    if (why == EADDRINUSE)
        warn(c, section, "bind", "%s is in use by %s; this is no fault if it is the running service", bind->text,
             holder ? holder : "another process");
    else
        fault(c, SERVICE_EXIT_SYSTEM, section, "bind", "%s: %s", bind->text, strerror(why));
    free(holder);
}

static void check_address(struct check *c, const char *section, const struct conf_bind *what, const struct addrinfo *ai)
{
    int on = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
        bind(fd, ai->ai_addr, ai->ai_addrlen) < 0)
        bind_failed(c, section, what, ai);
    fd_close(&fd);
}

/* A family that the machine does not have is no fault while the name has another. */
static bool is_missing(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool missing = fd < 0;
    fd_close(&fd);
    return missing;
}

static void check_tcp(struct check *c, const char *section, const struct conf_bind *bind)
{
    const struct addrinfo hints = {
        .ai_family = bind->ipv6only ? AF_INET6 : AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", bind->port);
    int rc = getaddrinfo(conf_bind_is_any(bind) ? NULL : bind->host, port, &hints, &found);
    if (rc != 0) {
        fault(c, SERVICE_EXIT_SYSTEM, section, "bind", "%s: %s", bind->text, gai_strerror(rc));
        return;
    }
    for (const struct addrinfo *ai = found; ai; ai = ai->ai_next)
        if (!found->ai_next || !is_missing(ai))
            check_address(c, section, bind, ai);
    freeaddrinfo(found);
}

static void check_binds(struct check *c, const char *section, const struct conf_binds *binds)
{
    for (size_t i = 0; i < binds->n; i++) {
        const struct conf_bind *bind = &binds->v[i];
        if (bind->kind == CONF_BIND_TCP)
            check_tcp(c, section, bind);
        else if (bind->kind == CONF_BIND_UNIX && bind->path[0] != '@')
            check_file(c, section, "bind", bind->path);
    }
}

static void check_all(struct check *c)
{
    check_user(c);
    check_file(c, "server", "pidfile", c->conf->server.pidfile);
    check_file(c, "control", "socket", c->conf->control.socket);
    check_log(c, "errorlog", c->conf->log.errorlog);
    check_log(c, "accesslog", c->conf->log.accesslog);
    check_statics(c);
    check_certificates(c);
    check_python(c);
    check_memory(c);
    check_binds(c, "server", &c->conf->server.bind);
    check_binds(c, "metrics", &c->conf->metrics.bind);
}

int check_system(const struct conf_loaded *loaded)
{
    struct check c = { .loaded = loaded, .conf = conf_loaded_get(loaded), .status = SERVICE_EXIT_OK };
    const char *folder = c.conf->server.chdir;
    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder && chdir(folder) < 0) /* every other path starts there */
        fault(&c, SERVICE_EXIT_CONF, "server", "chdir", "%s: %s", folder, strerror(errno));
    else
        check_all(&c);
    if (folder && here >= 0 && fchdir(here) < 0)
        c.status = c.status ? c.status : SERVICE_EXIT_SYSTEM;
    fd_close(&here);
    return c.status;
}
