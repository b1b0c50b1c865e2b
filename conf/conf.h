/* SPDX-License-Identifier: BSD-3-Clause */
/* conf.h: the configuration, typed and constant after loading. Made by conf_load(), read everywhere.
 *
 * Each section is a struct and each key a member of the same name (conf_keys.def). Durations are milliseconds, sizes
 * bytes, strings NULL when not set.
 */
#ifndef TINE_CONF_CONF_H
#define TINE_CONF_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_error_log { CONF_ERROR_LOG_TEXT, CONF_ERROR_LOG_JSON };
enum conf_accept { CONF_ACCEPT_SHARED, CONF_ACCEPT_REUSEPORT };
enum conf_reloads { CONF_RELOAD_ALL, CONF_RELOAD_ROLLING };
enum conf_interface { CONF_INTERFACE_AUTO, CONF_INTERFACE_ASGI, CONF_INTERFACE_ASGI2, CONF_INTERFACE_WSGI };
enum conf_loop {
    CONF_LOOP_TINE,
    CONF_LOOP_ASYNCIO,
    CONF_LOOP_UVLOOP,
    CONF_LOOP_TRIO,
    CONF_LOOP_CURIO,
    CONF_LOOP_GEVENT
};
/* app.threads: the greatest number of threads; the default where they are greenlets (gunicorn's worker_connections). */
#define CONF_MOST_THREADS 1024
#define CONF_GREENLETS 1000
enum conf_interpreter { CONF_INTERPRETER_AUTO, CONF_INTERPRETER_SUB, CONF_INTERPRETER_MAIN };
enum conf_asgi_spec { CONF_ASGI_SPEC_2_3, CONF_ASGI_SPEC_2_5 };
enum conf_lifespan { CONF_LIFESPAN_AUTO, CONF_LIFESPAN_ON, CONF_LIFESPAN_OFF };
enum conf_ws_engine { CONF_WS_ENGINE_AUTO, CONF_WS_ENGINE_LIBWEBSOCKETS, CONF_WS_ENGINE_WSLAY };
enum conf_forwarded {
    CONF_FORWARDED_X,
    CONF_FORWARDED_X_FOR,
    CONF_FORWARDED_RFC7239,
    CONF_FORWARDED_NONE,
    CONF_FORWARDED_X_SSL
};
enum conf_trace { CONF_TRACE_OFF, CONF_TRACE_SAMPLED, CONF_TRACE_UNSAMPLED };
enum conf_hsts { CONF_HSTS_HOST, CONF_HSTS_SUBDOMAINS, CONF_HSTS_PRELOAD };
enum conf_cert_reqs { CONF_CERT_REQS_NONE, CONF_CERT_REQS_OPTIONAL, CONF_CERT_REQS_REQUIRED };
enum conf_tls_version { CONF_TLS_VERSION_1_2, CONF_TLS_VERSION_1_3 };

struct conf_list {
    char **v;
    size_t n;
};

/* Extensions of ASGI, one bit each. */
enum conf_extension {
#define EXTENSION(member, name) CONF_EXTENSION_##member,
#include "conf/conf_extensions.def"
    CONF_N_EXTENSIONS
};

struct conf_extensions {
    bool set; /* while a list is read: an element came before */
    bool judged; /* "auto": http.response.pathsend where the server sees that it does no harm */
    unsigned mask; /* 1 << enum conf_extension */
};

/* Where to listen. */
enum conf_bind_kind { CONF_BIND_TCP, CONF_BIND_UNIX, CONF_BIND_FD, CONF_BIND_SYSTEMD };

struct conf_bind {
    enum conf_bind_kind kind;
    char *text; /* as written, without flags; for logs */
    char *host; /* TCP: name or address without brackets; "" or "*" = all addresses, "::" too unless ipv6only */
    uint16_t port;
    char *path; /* Unix; a leading '@' is the abstract name space */
    int fd; /* fd:// */
    bool tls, h2c, proxy;
    bool ipv6only; /* of all addresses, those of IPv6 */
};

/* It means every address of the machine, of both families or of IPv6. */
bool conf_bind_is_any(const struct conf_bind *bind);

struct conf_binds {
    struct conf_bind *v;
    size_t n;
};

/* A set of networks; IPv4 networks are held as v4-mapped IPv6. */
struct conf_net {
    struct in6_addr addr;
    unsigned prefix; /* bits, 0..128 */
};

struct conf_nets {
    struct conf_net *v;
    size_t n;
    bool any; /* "*" */
    bool unix_; /* "unix": peers on Unix sockets */
    bool guarded; /* "unix-private": those on sockets whose files keep strangers out */
};

/* A mode that may be left open. */
struct conf_umask {
    bool set;
    unsigned mode; /* 0 unless it is set */
};

/* http.keepalive: that depends on the peer. */
#define CONF_KEEPALIVE_AUTO UINT64_MAX

/* Member types by TYPE of conf_keys.def. */
#define CONF_CTYPE_BOOL bool
#define CONF_CTYPE_UINT unsigned
#define CONF_CTYPE_WORKERS unsigned
#define CONF_CTYPE_THREADS unsigned
#define CONF_CTYPE_OCTAL unsigned
#define CONF_CTYPE_UMASK struct conf_umask
#define CONF_CTYPE_SIZE uint64_t
#define CONF_CTYPE_MEMORY uint64_t
#define CONF_CTYPE_DURATION uint64_t
#define CONF_CTYPE_KEEPALIVE uint64_t /* or CONF_KEEPALIVE_AUTO */
#define CONF_CTYPE_RATE uint64_t /* in an hour */
#define CONF_CTYPE_STRING char *
#define CONF_CTYPE_PATH char *
#define CONF_CTYPE_LOGDEST char *
#define CONF_CTYPE_LOGFORMAT char *
#define CONF_CTYPE_LIST struct conf_list
#define CONF_CTYPE_EXTENSIONS struct conf_extensions
#define CONF_CTYPE_FIELDS struct conf_list /* each "Name: value" */
#define CONF_CTYPE_BINDS struct conf_binds
#define CONF_CTYPE_NETS struct conf_nets
#define CONF_CTYPE_LOGLEVEL int /* enum log_level */
#define CONF_CTYPE_ERROR_LOG enum conf_error_log
#define CONF_CTYPE_ACCEPT enum conf_accept
#define CONF_CTYPE_RELOADS enum conf_reloads
#define CONF_CTYPE_INTERFACE enum conf_interface
#define CONF_CTYPE_LOOP enum conf_loop
#define CONF_CTYPE_INTERPRETER enum conf_interpreter
#define CONF_CTYPE_ASGI_SPEC enum conf_asgi_spec
#define CONF_CTYPE_LIFESPAN enum conf_lifespan
#define CONF_CTYPE_WS_ENGINE enum conf_ws_engine
#define CONF_CTYPE_FORWARDED enum conf_forwarded
#define CONF_CTYPE_HSTS enum conf_hsts
#define CONF_CTYPE_TRACE enum conf_trace
#define CONF_CTYPE_CERT_REQS enum conf_cert_reqs
#define CONF_CTYPE_TLS_VERSION enum conf_tls_version

/* struct conf_server, struct conf_app, ... */
#define SECTION(member, ini, many, help) struct conf_##member {
#define KEY(member, name, TYPE, ...) CONF_CTYPE_##TYPE name;
#define END(member) \
    }               \
    ;
#include "conf/conf_keys.def"

/* Bytes of metrics.statsd_prefix and of metrics.statsd_tags. */
#define CONF_LONGEST_STATSD 256

/* app.module: answers from C. */
#define CONF_BUILTIN_HELLO "builtin:hello"

struct conf_mount {
    char *prefix; /* "/api" */
    struct conf_app app;
};

struct conf_static {
    char *prefix;
    struct conf_static_files files;
};

struct conf_env {
    char *name, *value;
};

struct conf {
    struct conf_server server;
    struct conf_app app;
    struct conf_http http;
    struct conf_limit limit;
    struct conf_websocket websocket;
    struct conf_tls tls;
    struct conf_log log;
    struct conf_control control;
    struct conf_metrics metrics;
    struct conf_mount *mounts;
    size_t n_mounts;
    struct conf_static *statics;
    size_t n_statics;
    struct conf_env *env;
    size_t n_env;
    char *file; /* the file that was read, absolute; NULL if none */
};

/* The word for it in the configuration. */
const char *conf_loop_name(enum conf_loop loop);

/* What is served, for people: the module of [app], or of the first mount where there is none. */
static inline const char *conf_app_name(const struct conf *conf)
{
    return conf->app.module ? conf->app.module : conf->n_mounts ? conf->mounts[0].app.module : "";
}

/* True if the peer is in the set. v4-mapped IPv6 addresses match IPv4 networks. `sa` of family AF_UNIX matches "unix", and
 * "unix-private" if its socket is `guarded`. */
struct sockaddr;
bool conf_nets_match(const struct conf_nets *nets, const struct sockaddr *sa, bool guarded);

#endif
