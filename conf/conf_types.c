/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_types.c: parses and prints the value of a key by its type. Every message says what was expected, in the unit of
 * the key. */
#include "conf/conf_types.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/machine.h"
#include "common/span.h"
#include "conf/conf.h"
#include "conf/conf_addr.h"
#include "conf/conf_extensions.h"
#include "conf/conf_fields.h"
#include "conf/conf_number.h"
#include "conf/conf_settings.h"
#include "common/suggest.h"
#include "conf/log_format.h"

/* Lists are searched from end to end, those of networks for each request. */
#define MOST_ELEMENTS 1000

static const char *const loglevels[] = { "debug", "info", "warning", "error", "critical", NULL };
static const char *const error_logs[] = { "text", "json", NULL };
static const char *const accepts[] = { "shared", "reuseport", NULL };
static const char *const reloads[] = { "all", "rolling", NULL };
static const char *const interfaces[] = { "auto", "asgi", "asgi2", "wsgi", NULL };
static const char *const loops[] = { "tine", "asyncio", "uvloop", "trio", "curio", "gevent", NULL };
static const char *const interpreters[] = { "auto", "sub", "main", NULL };
static const char *const asgi_specs[] = { "2.3", "2.5", NULL };
static const char *const lifespans[] = { "auto", "on", "off", NULL };
static const char *const ws_engines[] = { "auto", "libwebsockets", "wslay", NULL };
static const char *const forwarded_families[] = { "x-forwarded", "x-forwarded-for", "forwarded",
                                                  "none",        "x-forwarded-ssl", NULL };
static const char *const hsts_scopes[] = { "host", "subdomains", "preload", NULL };
static const char *const traces[] = { "off", "sampled", "unsampled", NULL };
static const char *const cert_reqs[] = { "none", "optional", "required", NULL };
static const char *const tls_versions[] = { "1.2", "1.3", NULL };

/* The words of an enumeration stand in the order of its values. */
static const struct {
    const char *doc;
    const char *const *words;
    size_t size;
} types[] = {
    [CONF_TYPE_BOOL] = { "true or false", NULL, sizeof(bool) },
    [CONF_TYPE_UINT] = { "number", NULL, sizeof(unsigned) },
    [CONF_TYPE_WORKERS] = { "number or auto", NULL, sizeof(unsigned) },
    [CONF_TYPE_THREADS] = { "number or auto", NULL, sizeof(unsigned) },
    [CONF_TYPE_OCTAL] = { "octal mode", NULL, sizeof(unsigned) },
    [CONF_TYPE_UMASK] = { "octal mode", NULL, sizeof(struct conf_umask) },
    [CONF_TYPE_SIZE] = { "size", NULL, sizeof(uint64_t) },
    [CONF_TYPE_MEMORY] = { "size or percentage", NULL, sizeof(uint64_t) },
    [CONF_TYPE_DURATION] = { "duration", NULL, sizeof(uint64_t) },
    [CONF_TYPE_KEEPALIVE] = { "duration or auto", NULL, sizeof(uint64_t) },
    [CONF_TYPE_RATE] = { "number/s, /m or /h", NULL, sizeof(uint64_t) },
    [CONF_TYPE_STRING] = { "text", NULL, sizeof(char *) },
    [CONF_TYPE_PATH] = { "path", NULL, sizeof(char *) },
    [CONF_TYPE_LOGDEST] = { "path, -, or none", NULL, sizeof(char *) },
    [CONF_TYPE_LOGFORMAT] = { "log format", NULL, sizeof(char *) },
    [CONF_TYPE_LIST] = { "list", NULL, sizeof(struct conf_list) },
    [CONF_TYPE_EXTENSIONS] = { "list of extensions", NULL, sizeof(struct conf_extensions) },
    [CONF_TYPE_FIELDS] = { "header fields", NULL, sizeof(struct conf_list) },
    [CONF_TYPE_BINDS] = { "list of addresses", NULL, sizeof(struct conf_binds) },
    [CONF_TYPE_NETS] = { "list of networks", NULL, sizeof(struct conf_nets) },
    [CONF_TYPE_LOGLEVEL] = { "debug, info, warning, error or critical", loglevels, sizeof(int) },
    [CONF_TYPE_ERROR_LOG] = { "text or json", error_logs, sizeof(enum conf_error_log) },
    [CONF_TYPE_ACCEPT] = { "shared or reuseport", accepts, sizeof(enum conf_accept) },
    [CONF_TYPE_RELOADS] = { "all or rolling", reloads, sizeof(enum conf_reloads) },
    [CONF_TYPE_INTERFACE] = { "auto, asgi, asgi2 or wsgi", interfaces, sizeof(enum conf_interface) },
    [CONF_TYPE_LOOP] = { "tine, asyncio, uvloop, trio, curio or gevent", loops, sizeof(enum conf_loop) },
    [CONF_TYPE_INTERPRETER] = { "auto, sub or main", interpreters, sizeof(enum conf_interpreter) },
    [CONF_TYPE_ASGI_SPEC] = { "2.3 or 2.5", asgi_specs, sizeof(enum conf_asgi_spec) },
    [CONF_TYPE_LIFESPAN] = { "auto, on or off", lifespans, sizeof(enum conf_lifespan) },
    [CONF_TYPE_WS_ENGINE] = { "auto, libwebsockets or wslay", ws_engines, sizeof(enum conf_ws_engine) },
    [CONF_TYPE_FORWARDED] = { "x-forwarded, x-forwarded-ssl, x-forwarded-for, forwarded or none", forwarded_families,
                              sizeof(enum conf_forwarded) },
    [CONF_TYPE_HSTS] = { "host, subdomains or preload", hsts_scopes, sizeof(enum conf_hsts) },
    [CONF_TYPE_TRACE] = { "off, sampled or unsampled", traces, sizeof(enum conf_trace) },
    [CONF_TYPE_CERT_REQS] = { "none, optional or required", cert_reqs, sizeof(enum conf_cert_reqs) },
    [CONF_TYPE_TLS_VERSION] = { "1.2 or 1.3", tls_versions, sizeof(enum conf_tls_version) },
};

const char *conf_loop_name(enum conf_loop loop)
{
    return loops[loop];
}

bool conf_type_is_list(enum conf_type type)
{
    return type == CONF_TYPE_LIST || type == CONF_TYPE_EXTENSIONS || type == CONF_TYPE_BINDS ||
           type == CONF_TYPE_NETS || type == CONF_TYPE_FIELDS;
}

size_t conf_type_size(enum conf_type type)
{
    return types[type].size;
}

const char *conf_type_doc(enum conf_type type)
{
    return types[type].doc;
}

static const char *parse_bool(struct conf_pool *pool, const struct conf_key *key, const char *text, bool *ret)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(words[i], text) == 0) {
            *ret = i & 1;
            return NULL;
        }
    }
    return conf_expected(pool, key, "true or false (or yes, no, on, off, 1, 0)", text);
}

static const char *parse_workers(struct conf_pool *pool, const struct conf_key *key, const char *text, unsigned *ret)
{
    if (strcasecmp(text, "auto") == 0) {
        unsigned cores = machine_cores(), most = (unsigned)conf_most(key);
        *ret = cores < most ? cores : most;
        return NULL;
    }
    return conf_uint_parse(pool, key, "auto or a whole number", text, ret);
}

static const char *parse_threads(struct conf_pool *pool, const struct conf_key *key, const char *text, unsigned *ret)
{
    if (strcasecmp(text, "auto") != 0)
        return conf_uint_parse(pool, key, "auto or a whole number", text, ret);
    *ret = 0;
    return NULL;
}

static const char *parse_keepalive(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret)
{
    if (strcasecmp(text, "auto") != 0)
        return conf_duration_parse(pool, key, text, ret);
    *ret = CONF_KEEPALIVE_AUTO;
    return NULL;
}

static const char *parse_umask(struct conf_pool *pool, const struct conf_key *key, const char *text,
                               struct conf_umask *ret)
{
    struct conf_umask umask = { .set = *text != '\0' };
    const char *why = umask.set ? conf_octal_parse(pool, key, text, &umask.mode) : NULL;
    if (!why)
        *ret = umask;
    return why;
}

static const char *parse_string(struct conf_pool *pool, const struct conf_key *key, const char *text, char **ret)
{
    if (!*text && !(key->def && !*key->def)) {
        *ret = NULL;
        return NULL;
    }
    char *copy = conf_copy(pool, text, strlen(text));
    if (!copy)
        return "out of memory";
    *ret = copy;
    return NULL;
}

static const char *parse_logdest(struct conf_pool *pool, const struct conf_key *key, const char *text, char **ret)
{
    bool none = !*text || strcasecmp(text, "none") == 0;
    if (none && key->def)
        return conf_expected(pool, key, "- or a path", text);
    return parse_string(pool, key, none ? "" : text, ret);
}

static const char *parse_logformat(struct conf_pool *pool, const struct conf_key *key, const char *text, char **ret)
{
    struct log_format format;
    const char *why;
    size_t at;
    if (!*text)
        return "expected a format such as %(h)s \"%(r)s\" %(s)s, or json";
    if (log_format_parse(text, &format, &why, &at) != 0)
        return conf_text(pool, "%s, at %s", why, conf_shown(text + at).s);
    log_format_done(&format);
    return parse_string(pool, key, text, ret);
}

static const char *parse_word(struct conf_pool *pool, const struct conf_key *key, const char *text, int *ret)
{
    const char *const *words = types[key->type].words;
    size_t n = 0;
    for (; words[n]; n++) {
        if (strcasecmp(words[n], text) == 0) {
            *ret = (int)n;
            return NULL;
        }
    }
    const char *why = conf_expected(pool, key, types[key->type].doc, text);
    if (key->type == CONF_TYPE_LOOP && strcasecmp(text, "greenlet") == 0)
        return conf_text(pool, "%s: greenlet switches stacks and has no event loop; gevent is the loop for greenlets",
                         why);
    const char *near = suggest_nearest(text, words, n);
    if (!suggest_is_near(text, near))
        return why;
    return conf_text(pool, "%s; did you mean \"%s\"?", why, near);
}

static const char *list_add(struct conf_pool *pool, const char *text, struct conf_list *list)
{
    char **v = conf_extend(pool, list->v, list->n, sizeof(*v));
    char *copy = conf_copy(pool, text, strlen(text));
    if (!v || !copy)
        return "out of memory";
    v[list->n] = copy;
    list->v = v;
    list->n++;
    return NULL;
}

static const char *element_add(struct conf_pool *pool, enum conf_type type, const char *text, void *value)
{
    if (type == CONF_TYPE_BINDS)
        return conf_bind_add(pool, text, value);
    if (type == CONF_TYPE_NETS)
        return conf_net_add(pool, text, value);
    if (type == CONF_TYPE_EXTENSIONS)
        return conf_extension_add(pool, text, value);
    return list_add(pool, text, value);
}

static size_t list_length(enum conf_type type, const union conf_value *value)
{
    if (type == CONF_TYPE_BINDS)
        return value->binds.n;
    if (type == CONF_TYPE_EXTENSIONS)
        return 0; /* bounded by its names */
    return type == CONF_TYPE_NETS ? value->nets.n : value->list.n;
}

static const char *parse_list(struct conf_pool *pool, const struct conf_key *key, const char *text, void *value)
{
    union conf_value longer;
    memcpy(&longer, value, types[key->type].size);
    for (const char *p = text; p;) {
        const char *comma = strchr(p, ',');
        struct span s = span_trim((struct span){ p, comma ? (size_t)(comma - p) : strlen(p) });
        p = comma ? comma + 1 : NULL;
        if (s.n == 0)
            continue;
        const char *element = conf_copy(pool, s.p, s.n);
        const char *why = element ? element_add(pool, key->type, element, &longer) : "out of memory";
        if (why)
            return why;
        if (list_length(key->type, &longer) > MOST_ELEMENTS)
            return conf_text(pool, "more than %d elements", MOST_ELEMENTS);
    }
    if (key->type == CONF_TYPE_BINDS && key->def && longer.binds.n == 0)
        return "expected at least one address, such as 127.0.0.1:8000 or unix:/run/tine.sock";
    memcpy(value, &longer, types[key->type].size);
    return NULL;
}

const char *conf_value_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, void *value)
{
    switch (key->type) {
    case CONF_TYPE_BOOL:
        return parse_bool(pool, key, text, value);
    case CONF_TYPE_UINT:
        return conf_uint_parse(pool, key, "a whole number", text, value);
    case CONF_TYPE_WORKERS:
        return parse_workers(pool, key, text, value);
    case CONF_TYPE_THREADS:
        return parse_threads(pool, key, text, value);
    case CONF_TYPE_OCTAL:
        return conf_octal_parse(pool, key, text, value);
    case CONF_TYPE_UMASK:
        return parse_umask(pool, key, text, value);
    case CONF_TYPE_SIZE:
        return conf_size_parse(pool, key, text, value);
    case CONF_TYPE_MEMORY:
        return conf_memory_parse(pool, key, text, value);
    case CONF_TYPE_DURATION:
        return conf_duration_parse(pool, key, text, value);
    case CONF_TYPE_KEEPALIVE:
        return parse_keepalive(pool, key, text, value);
    case CONF_TYPE_RATE:
        return conf_rate_parse(pool, key, text, value);
    case CONF_TYPE_STRING:
    case CONF_TYPE_PATH:
        return parse_string(pool, key, text, value);
    case CONF_TYPE_LOGDEST:
        return parse_logdest(pool, key, text, value);
    case CONF_TYPE_LOGFORMAT:
        return parse_logformat(pool, key, text, value);
    case CONF_TYPE_FIELDS:
        return conf_fields_add(pool, text, value);
    case CONF_TYPE_LIST:
    case CONF_TYPE_EXTENSIONS:
    case CONF_TYPE_BINDS:
    case CONF_TYPE_NETS:
        return parse_list(pool, key, text, value);
    default:
        return parse_word(pool, key, text, value);
    }
}

static void print_list(const struct conf_list *list, FILE *out)
{
    for (size_t i = 0; i < list->n; i++)
        fprintf(out, "%s%s", i ? ", " : "", list->v[i]);
}

void conf_value_print(const struct conf_key *key, const void *value, FILE *out)
{
    const struct conf_umask *umask;
    const char *text;
    char number[32];
    uint64_t big;
    switch (key->type) {
    case CONF_TYPE_BOOL:
        fputs(*(const bool *)value ? "true" : "false", out);
        break;
    case CONF_TYPE_UINT:
    case CONF_TYPE_WORKERS:
        fprintf(out, "%u", *(const unsigned *)value);
        break;
    case CONF_TYPE_THREADS:
        if (*(const unsigned *)value)
            fprintf(out, "%u", *(const unsigned *)value);
        else
            fputs("auto", out);
        break;
    case CONF_TYPE_OCTAL:
        fprintf(out, "%04o", *(const unsigned *)value);
        break;
    case CONF_TYPE_UMASK:
        umask = value;
        if (umask->set)
            fprintf(out, "%04o", umask->mode);
        break;
    case CONF_TYPE_SIZE:
        fputs(conf_size_text(*(const uint64_t *)value, number, sizeof(number)), out);
        break;
    case CONF_TYPE_MEMORY:
        fputs(conf_memory_text(*(const uint64_t *)value, number, sizeof(number)), out);
        break;
    case CONF_TYPE_DURATION:
        fputs(conf_duration_text(*(const uint64_t *)value, number, sizeof(number)), out);
        break;
    case CONF_TYPE_KEEPALIVE:
        big = *(const uint64_t *)value;
        fputs(big == CONF_KEEPALIVE_AUTO ? "auto" : conf_duration_text(big, number, sizeof(number)), out);
        break;
    case CONF_TYPE_RATE:
        fputs(conf_rate_text(*(const uint64_t *)value, number, sizeof(number)), out);
        break;
    case CONF_TYPE_STRING:
    case CONF_TYPE_PATH:
    case CONF_TYPE_LOGDEST:
    case CONF_TYPE_LOGFORMAT:
        text = *(char *const *)value;
        fputs(text ? text : "", out);
        break;
    case CONF_TYPE_LIST:
    case CONF_TYPE_FIELDS:
        print_list(value, out);
        break;
    case CONF_TYPE_EXTENSIONS:
        conf_extensions_print(value, out);
        break;
    case CONF_TYPE_BINDS:
        conf_binds_print(value, out);
        break;
    case CONF_TYPE_NETS:
        conf_nets_print(value, out);
        break;
    default:
        fputs(types[key->type].words[*(const int *)value], out);
        break;
    }
}

char *conf_value_text(const struct conf_key *key, const void *value)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return NULL;
    conf_value_print(key, value, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
