/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_check.c: the rules that involve more than one value: what is missing, what contradicts, and what is known but
 * not there yet. Never looks at the system: whether a user exists or a port is free is the master's to find out. */
#include <config.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf_loaded.h"
#include "conf/conf_types.h"
#include "conf/log_dest.h"

static const struct conf_setting *from(const struct conf_instance *in, const char *name)
{
    return in->from[conf_key_find(in->section, name) - in->section->keys];
}

static const struct conf_instance *instance(const struct conf_loaded *l, const char *name)
{
    size_t i = 0;
    while (strcmp(l->v[i].name, name) != 0)
        i++;
    return &l->v[i];
}

/* Whether the value is another than the default, written in whichever way. */
static bool differs_from_default(const struct conf_instance *in, const struct conf_key *key, struct conf_errors *errors)
{
    union conf_value def = { 0 };
    struct conf_pool pool = { NULL };
    const char *why = key->def ? conf_value_parse(&pool, key, key->def, &def) : NULL;
    char *a = conf_value_text(key, &def);
    char *b = conf_value_text(key, conf_instance_value(in, key));
    bool differs = a && b && strcmp(a, b) != 0;
    errors->failed |= why || !a || !b;
    free(a);
    free(b);
    conf_pool_done(&pool);
    return differs;
}

static void check_later_keys(const struct conf_instance *in, struct conf_errors *errors)
{
    if (in->section->later) {
        conf_error(errors, in->heading, "[%s:/prefix] is not supported yet", in->section->name);
        return;
    }
    for (size_t i = 0; i < in->section->n_keys; i++) {
        const struct conf_key *key = &in->section->keys[i];
        if (key->later && in->from[i] && differs_from_default(in, key, errors))
            conf_error(errors, in->from[i], "not supported yet (leave it out, or at its default \"%s\")",
                       key->def ? key->def : "");
    }
}

static void check_binds(const struct conf_loaded *l, struct conf_errors *errors)
{
    const struct conf_binds *binds = &l->conf.server.bind;
    const struct conf_setting *at = from(instance(l, "server"), "bind");
    for (size_t i = 0; i < binds->n; i++) {
        const struct conf_bind *b = &binds->v[i];
#if !TINE_HTTP2
        if (b->h2c)
            conf_error(errors, at, "%s: the flag h2c is not supported: built without nghttp2", b->text);
#endif
        if (b->kind == CONF_BIND_TCP && b->port == 0)
            continue;
        for (size_t j = 0; j < i; j++)
            if (strcmp(b->text, binds->v[j].text) == 0)
                conf_error(errors, at, "%s is listed twice", b->text);
    }
}

static bool is_plain_name(const char *text, const char *without)
{
    return strlen(text) <= CONF_LONGEST_STATSD && !strpbrk(text, without);
}

static void check_metrics(const struct conf_loaded *l, struct conf_errors *errors)
{
    const struct conf_metrics *metrics = &l->conf.metrics;
    const struct conf_instance *in = instance(l, "metrics");
    for (size_t i = 0; i < metrics->bind.n; i++) {
        const struct conf_bind *b = &metrics->bind.v[i];
        if (b->kind == CONF_BIND_SYSTEMD)
            conf_error(errors, from(in, "bind"), "sockets of systemd are for server.bind; write fd://N here");
        if (b->tls || b->h2c || b->proxy)
            conf_error(errors, from(in, "bind"), "%s: no flag is possible here, but for ipv6only", b->text);
    }
    if (metrics->statsd) {
        const char *colon = strrchr(metrics->statsd, ':');
        char *end = NULL;
        unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
        if (!colon || colon == metrics->statsd || !isdigit((unsigned char)colon[1]) || *end || !port ||
            port > UINT16_MAX)
            conf_error(errors, from(in, "statsd"), "expected host:port, got %s", conf_shown(metrics->statsd).s);
    }
    if (metrics->statsd_prefix && !is_plain_name(metrics->statsd_prefix, ":|@# \n"))
        conf_error(errors, from(in, "statsd_prefix"), "expected at most %d bytes without blanks and : | @ #, got %s",
                   CONF_LONGEST_STATSD, conf_shown(metrics->statsd_prefix).s);
    if (metrics->statsd_tags && !is_plain_name(metrics->statsd_tags, "|# \n"))
        conf_error(errors, from(in, "statsd_tags"), "expected at most %d bytes without blanks and | #, got %s",
                   CONF_LONGEST_STATSD, conf_shown(metrics->statsd_tags).s);
}

/* "syslog:dir/log": meant for a daemon, but read as the name of a file. */
static bool is_daemon_without_path(const char *dest)
{
    return (strncmp(dest, "syslog:", 7) == 0 || strncmp(dest, "journald:", 9) == 0) &&
           log_dest_parse(dest).kind == LOG_DEST_FILE;
}

static void check_words(const struct conf_loaded *l, struct conf_errors *errors)
{
    const struct conf_instance *app = instance(l, "app"), *log = instance(l, "log");
    const struct conf_log *logs = &l->conf.log;
    if (l->conf.app.loop_factory && l->conf.app.loop != CONF_LOOP_ASYNCIO)
        conf_error(errors, from(app, "loop_factory"), "it makes the loop of loop = asyncio, and no other");
    if ((l->conf.app.loop == CONF_LOOP_UVLOOP || l->conf.app.loop == CONF_LOOP_GEVENT) &&
        l->conf.app.interpreter == CONF_INTERPRETER_SUB)
        conf_error(errors, from(app, "loop"), "%s runs only in the main interpreter: leave out interpreter = sub",
                   l->conf.app.loop == CONF_LOOP_UVLOOP ? "uvloop" : "gevent");
    if (l->conf.app.preload_app && l->conf.app.interpreter == CONF_INTERPRETER_SUB)
        conf_error(errors, from(app, "preload_app"),
                   "CPython cannot fork a sub-interpreter: leave out interpreter = sub");
    if (!TINE_LIBWEBSOCKETS && l->conf.websocket.engine == CONF_WS_ENGINE_LIBWEBSOCKETS)
        conf_error(errors, from(instance(l, "websocket"), "engine"), "this tine was built without libwebsockets");
    /* No memory for a value leaves none, which is an error already. */
    if (logs->errorlog && is_daemon_without_path(logs->errorlog))
        conf_error(errors, from(log, "errorlog"), "expected the absolute path of the daemon's socket, got %s",
                   conf_shown(logs->errorlog).s);
    if (logs->accesslog && is_daemon_without_path(logs->accesslog))
        conf_error(errors, from(log, "accesslog"), "expected the absolute path of the daemon's socket, got %s",
                   conf_shown(logs->accesslog).s);
}

#define LEAST_MEMORY (1u << 20)

/* A message comes in a buffer that doubles. */
static void check_memory(const struct conf_loaded *l, struct conf_errors *errors)
{
    uint64_t limit = l->conf.http.limit_memory, message = l->conf.websocket.max_message_size;
    const struct conf_setting *at = from(instance(l, "http"), "limit_memory");
    if (limit && limit < LEAST_MEMORY)
        conf_error(errors, at, "expected at least 1m, or 0 for no limit");
    else if (limit && limit / 2 < message)
        conf_error(errors, at ? at : from(instance(l, "websocket"), "max_message_size"),
                   "http.limit_memory must be at least twice websocket.max_message_size, or 0 for no limit");
}

/* Whether the element is there before its position, too. */
static bool is_repeated(const struct conf_list *list, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcasecmp(list->v[i], list->v[at]) == 0)
            return true;
    return false;
}

static void check_codings(const struct conf_list *codings, const struct conf_setting *at, struct conf_errors *errors)
{
    static const struct {
        const char *name;
        bool built;
        const char *library;
    } known[] = { { "gzip", true, "zlib" }, { "br", TINE_BROTLI, "libbrotlienc" }, { "zstd", TINE_ZSTD, "libzstd" } };
    if (codings->n == 1 && strcasecmp(codings->v[0], "off") == 0)
        return;
    for (size_t i = 0; i < codings->n; i++) {
        size_t k = 0;
        while (k < 3 && strcasecmp(codings->v[i], known[k].name) != 0)
            k++;
        if (k == 3)
            conf_error(errors, at, "expected gzip, br, zstd or off alone, got %s", conf_shown(codings->v[i]).s);
        else if (!known[k].built)
            conf_error(errors, at, "this tine was built without %s, which %s needs", known[k].library, known[k].name);
        else if (is_repeated(codings, i))
            conf_error(errors, at, "%s is listed twice", known[k].name);
    }
}

/* "type/subtype", "type/" and a star, "+suffix", "default". */
static bool is_type_pattern(const char *text)
{
    size_t n = strcspn(text, " ;,\"");
    const char *slash = strchr(text, '/');
    if (text[n])
        return false;
    if (text[0] == '+')
        return n > 1 && !strpbrk(text, "/*");
    if (!slash)
        return strcasecmp(text, "default") == 0;
    const char *star = strchr(text, '*');
    return slash != text && slash[1] && !strchr(slash + 1, '/') && (!star || (star == slash + 1 && !star[1]));
}

static void check_compression(const struct conf_loaded *l, struct conf_errors *errors)
{
    const struct conf_instance *http = instance(l, "http");
    const struct conf_list *types = &l->conf.http.compress_types;
    check_codings(&l->conf.http.compress, from(http, "compress"), errors);
    for (size_t i = 0; i < types->n; i++)
        if (!is_type_pattern(types->v[i]))
            conf_error(errors, from(http, "compress_types"),
                       "expected type/subtype, type/*, +suffix or default, got %s", conf_shown(types->v[i]).s);
}

/* Python identifiers with dots between; letters beyond ASCII are Python's to judge. Returns what follows. */
static const char *skip_dotted(const char *p)
{
    for (;;) {
        if (!isalpha((unsigned char)*p) && *p != '_' && !((unsigned char)*p & 0x80))
            return NULL;
        while (isalnum((unsigned char)*p) || *p == '_' || ((unsigned char)*p & 0x80))
            p++;
        if (*p != '.')
            return p;
        p++;
    }
}

/* Nothing, or the arguments of a factory, which are Python's to judge. */
static bool is_call_or_end(const char *end)
{
    return !*end || (*end == '(' && end[strlen(end) - 1] == ')');
}

/* The colon before the attribute: the first one after which all is as it should be, for arguments may have colons too; else
 * the last. NULL: none. */
static const char *module_colon(const char *module)
{
    for (const char *p = module; (p = strchr(p, ':')); p++) {
        const char *end = skip_dotted(p + 1);
        if (end && is_call_or_end(end))
            return p;
    }
    return strrchr(module, ':');
}

/* NULL, or what is wrong with the shape of app.module. */
static const char *module_fault(const char *module)
{
    const char *colon = module_colon(module);
    size_t n = colon ? (size_t)(colon - module) : strlen(module);
    bool is_file = n > 3 && memcmp(module + n - 3, ".py", 3) == 0;
    if (!is_file) {
        const char *end = skip_dotted(module);
        if (!end && n == 0)
            return "the module before the colon is missing";
        if (memchr(module, '/', n))
            return "a file is written path/to/file.py:attr";
        if (end != module + n)
            return "the module is no dotted Python name";
    }
    if (!colon)
        return NULL;
    const char *end = skip_dotted(colon + 1);
    if (!end)
        return "the attribute after the colon is not a dotted Python name";
    if (!is_call_or_end(end))
        return "only (), or arguments in parentheses, may follow the attribute";
    return NULL;
}

/* [app] or [mount:/prefix]. */
static void check_app(const struct conf_instance *in, struct conf_errors *errors)
{
    const struct conf_app *app = (const void *)in->values;
    const char *why = app->module ? module_fault(app->module) : NULL;
    size_t n = app->root_path ? strlen(app->root_path) : 0; /* NULL: no memory, an error already */
    if (why)
        conf_error(errors, from(in, "module"),
                   "expected pkg.mod:attr, pkg.mod:factory() or path/to/file.py:attr, got %s: %s",
                   conf_shown(app->module).s, why);
    if (n && (app->root_path[0] != '/' || app->root_path[n - 1] == '/'))
        conf_error(errors, from(in, "root_path"),
                   "expected a path that starts with / and does not end with one, got %s",
                   conf_shown(app->root_path).s);
}

/* How many calls of a WSGI application run at a time, and which applications the loop can run at all. */
static void check_concurrency(const struct conf_loaded *l, const struct conf_instance *in, struct conf_errors *errors)
{
    const struct conf_app *app = (const void *)in->values;
    bool greenlets = l->conf.app.loop == CONF_LOOP_GEVENT;
    if (!greenlets && app->threads > CONF_MOST_THREADS)
        conf_error(errors, from(in, "threads"),
                   "expected a number from 1 to %d, got %u (more are possible with loop = gevent)", CONF_MOST_THREADS,
                   app->threads);
    if (greenlets && (app->interface == CONF_INTERFACE_ASGI || app->interface == CONF_INTERFACE_ASGI2))
        conf_error(errors, from(in, "interface"), "ASGI applications are coroutines, which loop = gevent does not run");
}

/* What all applications of a worker share cannot be different for one of them. */
static void check_shared_keys(const struct conf_instance *app, const struct conf_instance *mount,
                              struct conf_errors *errors)
{
    for (size_t i = 0; i < app->section->n_keys; i++) {
        const struct conf_key *key = &app->section->keys[i];
        if (!conf_key_is_shared(key) || !mount->from[i])
            continue;
        char *a = conf_value_text(key, conf_instance_value(app, key));
        char *b = conf_value_text(key, conf_instance_value(mount, key));
        errors->failed |= !a || !b;
        if (a && b && strcmp(a, b) != 0)
            conf_error(errors, mount->from[i],
                       "all applications of a worker share its interpreter and its loop: "
                       "set it under [app], for all of them");
        free(a);
        free(b);
    }
}

static bool is_section(const struct conf_instance *in, const char *name)
{
    return strcmp(in->section->name, name) == 0;
}

static void check_mount(const struct conf_loaded *l, const struct conf_instance *in, struct conf_errors *errors)
{
    const struct conf_app *app = (const void *)in->values;
    if (!app->module)
        conf_error(errors, in->heading, "[%s] needs module = pkg.mod:attr", in->name);
    check_app(in, errors);
    check_concurrency(l, in, errors);
    check_shared_keys(instance(l, "app"), in, errors);
    for (size_t i = 0; i < l->n; i++)
        if (is_section(&l->v[i], "static") && strcmp(l->v[i].prefix, in->prefix) == 0)
            conf_error(errors, in->heading, "[%s] and [%s] have the same prefix", in->name, l->v[i].name);
}

static void check_apps(const struct conf_loaded *l, bool needs_module, struct conf_errors *errors)
{
    if (!l->conf.app.module && !l->conf.n_mounts && needs_module)
        conf_error(errors, NULL,
                   "app.module: no application to serve: run \"tine pkg.mod:attr\", or "
                   "write module = pkg.mod:attr under [app] in tine.ini");
    check_app(instance(l, "app"), errors);
    check_concurrency(l, instance(l, "app"), errors);
    for (size_t i = 0; i < l->n; i++)
        if (is_section(&l->v[i], "mount"))
            check_mount(l, &l->v[i], errors);
}

static bool listens_with_tls(const struct conf_binds *binds)
{
    for (size_t i = 0; i < binds->n; i++)
        if (binds->v[i].tls)
            return true;
    return false;
}

/* The files are the master's to read, and what is in them the workers' to judge. */
static void check_tls(const struct conf_loaded *l, struct conf_errors *errors)
{
    const struct conf_tls *tls = &l->conf.tls;
    const struct conf_instance *in = instance(l, "tls");
    if (listens_with_tls(&l->conf.server.bind) && !tls->certfile && !tls->sni_dir)
        conf_error(errors, from(instance(l, "server"), "bind"), "the flag tls needs tls.certfile or tls.sni_dir");
    if (tls->key_password && strncmp(tls->key_password, "file:", 5) != 0 && strncmp(tls->key_password, "env:", 4) != 0)
        conf_error(errors, from(in, "key_password"), "expected file:PATH or env:NAME");
    if (tls->cert_reqs != CONF_CERT_REQS_NONE && !tls->ca_certs)
        conf_error(errors, from(in, "cert_reqs"), "client certificates need tls.ca_certs");
    if (!tls->certfile && (tls->keyfile || tls->ocsp_file))
        conf_error(errors, from(in, tls->keyfile ? "keyfile" : "ocsp_file"),
                   "belongs to tls.certfile, which is not set");
    for (size_t i = 0; i < tls->alpn.n; i++)
        if (strcmp(tls->alpn.v[i], "h2") != 0 && strcmp(tls->alpn.v[i], "http/1.1") != 0)
            conf_error(errors, from(in, "alpn"), "expected h2 or http/1.1, got %s", conf_shown(tls->alpn.v[i]).s);
}

static void check_http(const struct conf_loaded *l, struct conf_errors *errors)
{
    const char *path = l->conf.http.health_path;
    if (path && (*path != '/' || strpbrk(path, "?# ")))
        conf_error(errors, from(instance(l, "http"), "health_path"), "expected a path such as /healthz, got %s",
                   conf_shown(path).s);
}

/* Opened by the worker; here only what no folder could mend. */
static void check_statics(const struct conf_loaded *l, struct conf_errors *errors)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct conf_instance *in = &l->v[i];
        if (!is_section(in, "static"))
            continue;
        const struct conf_static_files *files = (const void *)in->values;
        if (!files->dir)
            conf_error(errors, in->heading, "[%s] needs dir = FOLDER", in->name);
        if (files->index && (files->index[0] == '.' || strchr(files->index, '/')))
            conf_error(errors, from(in, "index"), "expected the name of a file, got %s", conf_shown(files->index).s);
    }
}

void conf_check(const struct conf_loaded *l, bool needs_module, struct conf_errors *errors)
{
    for (size_t i = 0; i < l->n; i++)
        check_later_keys(&l->v[i], errors);
    check_binds(l, errors);
    check_metrics(l, errors);
    check_words(l, errors);
    check_memory(l, errors);
    check_compression(l, errors);
    check_apps(l, needs_module, errors);
    check_statics(l, errors);
    check_http(l, errors);
    check_tls(l, errors);
}
