/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_scope.c: fills a copy of a template that has every key in the order of the specification. */
#include "worker/asgi/asgi_scope.h"

#include <stdlib.h>

#include "conf/conf.h"
#include "worker/asgi/asgi_offer.h"
#include "worker/asgi/asgi_state.h"
#include "worker/asgi/asgi_tls.h"
#include "worker/http/req.h"
#include "worker/net/conn.h"
#include "worker/tls/tls.h"
#include "worker/ws/ws.h"

/* --- shared by all scopes --- */

#define BIT(member) (1u << CONF_EXTENSION_##member)
#define FILES (BIT(PATHSEND) | BIT(ZEROCOPYSEND))

static bool offers(const struct asgi *asgi, enum conf_extension which)
{
    return asgi->env.app->asgi_extensions.mask >> which & 1;
}

/* {name: {}} of those that are configured. */
static PyObject *extensions_new(const struct asgi *asgi, unsigned mask)
{
    static const char *const names[] = {
#define EXTENSION(member, name) name,
#include "conf/conf_extensions.def"
    };
    PyObject *d = PyDict_New();
    for (unsigned i = 0; d && i < CONF_N_EXTENSIONS; i++) {
        if (!(mask >> i & 1) || !offers(asgi, i))
            continue;
        PyObject *empty = PyDict_New();
        if (!empty || PyDict_SetItemString(d, names[i], empty) < 0)
            Py_CLEAR(d);
        Py_XDECREF(empty);
    }
    return d;
}

static PyObject *template_new(const struct asgi *asgi)
{
    const struct asgi_names *n = &asgi->names;
    const char *root = asgi->env.app->root_path ? asgi->env.app->root_path : "";
    PyObject *where = PyUnicode_FromFormat("%s%s", root, asgi->env.prefix);
    if (!where)
        return NULL;
    PyObject *d = Py_BuildValue("{OO OO OO OO OO OO OO ON OO OO OO OO}", /* order as in the specification */
                                n->type, n->http, n->asgi, Py_None, n->http_version, n->version_1_1, n->server, Py_None,
                                n->client, Py_None, n->scheme, n->http, n->method, n->GET, n->root_path, where, n->path,
                                Py_None, n->raw_path, Py_None, n->query_string, asgi->empty_bytes, n->headers, Py_None);
    if (d && asgi->state && PyDict_SetItem(d, n->state, Py_None) < 0)
        Py_CLEAR(d);
    if (d && (PyDict_SetItem(d, n->extensions, Py_None) < 0 || PyDict_SetItem(d, n->draining, asgi->draining) < 0))
        Py_CLEAR(d);
    return d;
}

/* No method: it is always GET. */
static PyObject *template_websocket_new(const struct asgi *asgi)
{
    const struct asgi_names *n = &asgi->names;
    PyObject *d = PyDict_Copy(asgi->template_http);
    if (d && (PyDict_DelItem(d, n->method) < 0 || PyDict_SetItem(d, n->type, n->websocket) < 0 ||
              PyDict_SetItem(d, n->scheme, n->ws) < 0 || PyDict_SetItem(d, n->subprotocols, Py_None) < 0))
        Py_CLEAR(d);
    return d;
}

int asgi_scope_init(struct asgi *asgi)
{
    const char *root = asgi->env.app->root_path;
    if (!(asgi->empty_bytes = PyBytes_FromStringAndSize(NULL, 0)) || asgi_offer_init(asgi) < 0)
        return -1;
    if (root && *root &&
        (!(asgi->root_path = PyUnicode_FromString(root)) || !(asgi->root_path_bytes = PyBytes_FromString(root))))
        return -1;
    const char *spec = asgi->env.app->asgi_spec_version == CONF_ASGI_SPEC_2_5 ? "2.5" : "2.3";
    if (!(asgi->asgi_version = Py_BuildValue("{ssss}", "version", asgi->version, "spec_version", spec)))
        return -1;
    /* Trailers need chunked, early hints 1xx answers: not in HTTP/1.0. */
    if (!(asgi->extensions = extensions_new(asgi, FILES | BIT(TRAILERS) | BIT(EARLY_HINT))) ||
        !(asgi->extensions_1_0 = extensions_new(asgi, FILES)) ||
        !(asgi->extensions_websocket = extensions_new(asgi, BIT(WEBSOCKET_RESPONSE))))
        return -1;
    return (asgi->template_http = template_new(asgi)) && (asgi->template_websocket = template_websocket_new(asgi)) ? 0
                                                                                                                   : -1;
}

void asgi_scope_done(struct asgi *asgi)
{
    asgi_offer_done(asgi);
    Py_CLEAR(asgi->template_http);
    Py_CLEAR(asgi->template_websocket);
    Py_CLEAR(asgi->extensions_websocket);
    Py_CLEAR(asgi->asgi_version);
    Py_CLEAR(asgi->extensions);
    Py_CLEAR(asgi->extensions_1_0);
    Py_CLEAR(asgi->empty_bytes);
    Py_CLEAR(asgi->root_path);
    Py_CLEAR(asgi->root_path_bytes);
    Py_CLEAR(asgi->tls_cert);
    asgi_pairs_clear(&asgi->pairs);
}

/* --- addresses --- */

/* Sets a value that is a new reference (stolen); NULL: its exception stays set. */
static int set_new(PyObject *dict, PyObject *key, PyObject *value)
{
    if (!value)
        return -1;
    int r = PyDict_SetItem(dict, key, value);
    Py_DECREF(value);
    return r;
}

static PyObject *endpoint_tuple(const struct endpoint *e, bool path_only)
{
    if (!e || !e->host[0])
        return Py_NewRef(Py_None);
    if (e->port >= 0)
        return Py_BuildValue("(si)", e->host, (int)e->port);
    return path_only ? Py_BuildValue("(sO)", e->host, Py_None) : Py_NewRef(Py_None);
}

static struct conn_names *conn_names_of(struct req *r)
{
    struct conn_names *names = r->conn->user;
    if (names)
        return names;
    names = calloc(1, sizeof *names);
    if (!names) {
        PyErr_NoMemory();
        return NULL;
    }
    names->refs = 1;
    names->conn = r->conn;
    r->conn->user = names;
    return names;
}

struct conn_names *conn_names_ref(struct conn_names *names)
{
    names->refs++;
    return names;
}

void conn_names_unref(struct conn_names *names)
{
    if (--names->refs)
        return;
    Py_XDECREF(names->client);
    Py_XDECREF(names->server);
    Py_XDECREF(names->tls);
    free(names);
}

void conn_names_left(struct conn_names *names, int change)
{
    if (names && names->conn)
        conn_count_left(names->conn, change);
}

static int set_unless_none(PyObject *dict, PyObject *key, PyObject *value)
{
    return value == Py_None ? 0 : PyDict_SetItem(dict, key, value);
}

static int set_addresses(struct asgi *asgi, PyObject *scope, struct req *r)
{
    const struct asgi_names *n = &asgi->names;
    struct conn_names *names = conn_names_of(r);
    if (!names)
        return -1;
    if (r->own_client) /* named by a proxy, for this request alone */
        return set_new(scope, n->client, endpoint_tuple(r->client, false)) < 0
                   ? -1
                   : set_new(scope, n->server, endpoint_tuple(r->server, true));
    if (!names->client && !(names->client = endpoint_tuple(r->client, false)))
        return -1;
    if (!names->server && !(names->server = endpoint_tuple(r->server, true)))
        return -1;
    return set_unless_none(scope, n->client, names->client) < 0 ? -1 : set_unless_none(scope, n->server, names->server);
}

/* --- extensions --- */

static PyObject *with_tls(struct asgi *asgi, PyObject *extensions, struct req *r)
{
    struct conn_names *names = conn_names_of(r);
    if (names && !names->tls)
        names->tls = asgi_tls_new(asgi, r->conn);
    if (names && names->tls && set_new(extensions, asgi->names.tls, PyDict_Copy(names->tls)) == 0)
        return extensions;
    Py_DECREF(extensions);
    return NULL;
}

static PyObject *extensions_of(struct asgi *asgi, PyObject *template, struct req *r)
{
    bool http = template != asgi->extensions_websocket;
    PyObject *extensions = http ? asgi_offer_copy(asgi, template, r) : PyDict_Copy(template);
    return extensions && r->conn->transport == &transport_tls && offers(asgi, CONF_EXTENSION_TLS)
               ? with_tls(asgi, extensions, r)
               : extensions;
}

/* --- target --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded, then UTF-8; bytes that are no UTF-8 become U+FFFD. */
static PyObject *decode_path(struct span raw)
{
    if (!memchr(raw.p, '%', raw.n)) { /* visible ASCII only: head_rules saw to it */
        PyObject *s = PyUnicode_New((Py_ssize_t)raw.n, 127);
        if (s && raw.n)
            memcpy(PyUnicode_1BYTE_DATA(s), raw.p, raw.n);
        return s;
    }
    char small[512], *to = raw.n < sizeof small ? small : PyMem_Malloc(raw.n);
    if (!to)
        return PyErr_NoMemory();
    size_t n = 0;
    to[0] = 0; /* for compilers that cannot see that there is at least one byte */
    for (size_t i = 0; i < raw.n; i++) {
        int high, low;
        if (raw.p[i] == '%' && i + 2 < raw.n && (high = hex_value(raw.p[i + 1])) >= 0 &&
            (low = hex_value(raw.p[i + 2])) >= 0) {
            to[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            to[n++] = raw.p[i];
        }
    }
    PyObject *s = PyUnicode_DecodeUTF8(to, (Py_ssize_t)n, "replace");
    if (to != small)
        PyMem_Free(to);
    return s;
}

static PyObject *bytes_of(struct span s)
{
    return PyBytes_FromStringAndSize(s.p, (Py_ssize_t)s.n);
}

/* root_path is part of path and raw_path (ASGI 2.5: "path" includes the root_path). */
static PyObject *prefixed(PyObject *prefix, PyObject *rest)
{
    if (!prefix || !rest)
        return rest;
    PyObject *whole = PyNumber_Add(prefix, rest);
    Py_DECREF(rest);
    return whole;
}

static int set_paths(struct asgi *asgi, PyObject *scope, struct span path, PyObject *root, PyObject *root_bytes)
{
    const struct asgi_names *n = &asgi->names;
    return set_new(scope, n->path, prefixed(root, decode_path(path))) < 0
               ? -1
               : set_new(scope, n->raw_path, prefixed(root_bytes, bytes_of(path)));
}

/* The prefix that a proxy has sent replaces app.root_path. */
static int set_paths_below(struct asgi *asgi, PyObject *scope, const struct req *r)
{
    struct span prefix = req_span(r, r->prefix);
    PyObject *text = decode_path(prefix), *bytes = bytes_of(prefix);
    int failed = !text || !bytes || set_paths(asgi, scope, req_span(r, r->path), text, bytes) < 0 ||
                 set_new(scope, asgi->names.root_path, PyUnicode_FromFormat("%U%s", text, asgi->env.prefix)) < 0;
    Py_XDECREF(text);
    Py_XDECREF(bytes);
    return failed ? -1 : 0;
}

static int set_target(struct asgi *asgi, PyObject *scope, const struct req *r)
{
    const struct asgi_names *n = &asgi->names;
    int failed = r->prefix.n ? set_paths_below(asgi, scope, r)
                             : set_paths(asgi, scope, req_span(r, r->path), asgi->root_path, asgi->root_path_bytes);
    if (failed)
        return -1;
    return r->query.n ? set_new(scope, n->query_string, bytes_of(req_span(r, r->query))) : 0;
}

/* As it was received, whatever its case: "get" is another method than GET (RFC 9110 9.1). ASGI says "uppercased", which
 * every registered method is; a server that made DELETE of "delete" would undo what a proxy in front lets through. */
static PyObject *method_name(const struct asgi *asgi, struct span m)
{
    const struct asgi_names *n = &asgi->names;
    PyObject *known[] = { n->GET, n->POST, n->HEAD, n->PUT, n->DELETE, n->PATCH, n->OPTIONS };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((size_t)PyUnicode_GET_LENGTH(known[i]) == m.n && !memcmp(PyUnicode_1BYTE_DATA(known[i]), m.p, m.n))
            return Py_NewRef(known[i]);
    return PyUnicode_DecodeLatin1(m.p, (Py_ssize_t)m.n, NULL);
}

/* --- headers --- */

static PyObject *field_list(struct asgi *asgi, const struct req *r)
{
    PyObject *list = PyList_New((Py_ssize_t)r->n_fields);
    for (uint32_t i = 0; list && i < r->n_fields; i++) {
        const struct field *f = &r->fields[i];
        PyObject *pair = asgi_pair(&asgi->pairs, req_span(r, f->name), req_span(r, f->value));
        if (pair)
            PyList_SET_ITEM(list, (Py_ssize_t)i, pair);
        else
            Py_CLEAR(list);
    }
    return list;
}

/* --- all of it --- */

static int set_version(struct asgi *asgi, PyObject *scope, struct req *r)
{
    const struct asgi_names *n = &asgi->names;
    PyObject *extensions = r->version == HTTP_1_0 ? asgi->extensions_1_0 : asgi->extensions;
    if (r->version != HTTP_1_1 &&
        PyDict_SetItem(scope, n->http_version, r->version == HTTP_2 ? n->version_2 : n->version_1_0) < 0)
        return -1;
    if (r->https && PyDict_SetItem(scope, n->scheme, n->https) < 0)
        return -1;
    return set_new(scope, n->extensions, extensions_of(asgi, extensions, r));
}

PyObject *asgi_scope_http(struct asgi *asgi, struct req *r)
{
    const struct asgi_names *n = &asgi->names;
    PyObject *scope = PyDict_Copy(asgi->template_http);
    if (!scope)
        return NULL;
    struct span method = req_span(r, r->method);
    if (set_new(scope, n->asgi, PyDict_Copy(asgi->asgi_version)) < 0 || set_version(asgi, scope, r) < 0 ||
        set_addresses(asgi, scope, r) < 0 || set_target(asgi, scope, r) < 0 ||
        set_new(scope, n->headers, field_list(asgi, r)) < 0)
        goto fail;
    if (!span_eq(method, SPAN("GET")) && set_new(scope, n->method, method_name(asgi, method)) < 0)
        goto fail;
    if (asgi->state && set_new(scope, n->state, PyDict_Copy(asgi->state)) < 0)
        goto fail;
    return scope;
fail:
    Py_DECREF(scope);
    return NULL;
}

/* --- websocket --- */

static PyObject *subprotocol_list(const struct req *r)
{
    PyObject *list = PyList_New(0);
    struct ws_offer cursor = { 0 };
    struct span name;
    while (list && ws_next_subprotocol(r, &cursor, &name)) {
        PyObject *s = PyUnicode_DecodeLatin1(name.p, (Py_ssize_t)name.n, NULL);
        if (!s || PyList_Append(list, s) < 0)
            Py_CLEAR(list);
        Py_XDECREF(s);
    }
    return list;
}

PyObject *asgi_scope_websocket(struct asgi *asgi, struct req *r)
{
    const struct asgi_names *n = &asgi->names;
    PyObject *scope = PyDict_Copy(asgi->template_websocket);
    if (!scope)
        return NULL;
    if (set_new(scope, n->asgi, PyDict_Copy(asgi->asgi_version)) < 0 ||
        (r->version == HTTP_2 && PyDict_SetItem(scope, n->http_version, n->version_2) < 0) ||
        (r->https && PyDict_SetItem(scope, n->scheme, n->wss) < 0) ||
        set_new(scope, n->extensions, extensions_of(asgi, asgi->extensions_websocket, r)) < 0 ||
        set_addresses(asgi, scope, r) < 0 || set_target(asgi, scope, r) < 0 ||
        set_new(scope, n->headers, field_list(asgi, r)) < 0 ||
        set_new(scope, n->subprotocols, subprotocol_list(r)) < 0 ||
        (asgi->state && set_new(scope, n->state, PyDict_Copy(asgi->state)) < 0))
        Py_CLEAR(scope);
    return scope;
}
