/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_environ.c: fills a copy of the dictionary that all requests have in common. Fields whose name has an underscore
 * are left out: as HTTP_X_FORWARDED_FOR they could not be told from those that a proxy checks. */
#include "worker/wsgi/wsgi_environ.h"

#include <stdint.h>
#include <string.h>

#include "common/version.h"
#include "conf/conf.h"
#include "config.h"
#include "worker/http/percent.h"
#include "worker/http/route.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_input.h"
#include "worker/wsgi/wsgi_socket.h"
#include "worker/wsgi/wsgi_state.h"

#define PORT_ROOM 12

/* Sets a value that is a new reference (stolen); NULL: its exception stays set. */
static int set_new(PyObject *dict, PyObject *key, PyObject *value)
{
    if (!value)
        return -1;
    int r = PyDict_SetItem(dict, key, value);
    Py_DECREF(value);
    return r;
}

static PyObject *latin1(struct span s)
{
    return PyUnicode_DecodeLatin1(s.p, (Py_ssize_t)s.n, NULL);
}

/* --- what all have in common --- */

static PyObject *script_name(const struct wsgi *wsgi)
{
    const char *root = wsgi->env.app->root_path ? wsgi->env.app->root_path : "";
    PyObject *outer = latin1(span_of(root)), *inner = outer ? latin1(span_of(wsgi->env.prefix)) : NULL;
    PyObject *both = inner ? PyUnicode_Concat(outer, inner) : NULL;
    Py_XDECREF(outer);
    Py_XDECREF(inner);
    return both;
}

/* A copy of a dictionary has the size of its table: in one of this size, the keys of a request find room without another
 * allocation. Nothing but speed depends on it. */
static int leave_room(PyObject *dict)
{
    static const Py_ssize_t enough = 22; /* the next table begins at it */
    Py_ssize_t had = PyDict_Size(dict);
    for (Py_ssize_t n = had; n < enough; n++) {
        PyObject *key = PyUnicode_FromFormat("room %zd", n);
        int r = key ? PyDict_SetItem(dict, key, Py_None) : -1;
        Py_XDECREF(key);
        if (r < 0)
            return -1;
    }
    for (Py_ssize_t n = had; n < enough; n++) {
        PyObject *key = PyUnicode_FromFormat("room %zd", n);
        int r = key ? PyDict_DelItem(dict, key) : -1;
        Py_XDECREF(key);
        if (r < 0)
            return -1;
    }
    return 0;
}

int wsgi_environ_init(struct wsgi *wsgi, PyObject *errors)
{
    const struct wsgi_names *n = &wsgi->names;
    PyObject *script = script_name(wsgi);
    if (!script)
        return -1;
    wsgi->environ = Py_BuildValue(
        "{OO OO OO OO OO OO Os Os OO Os Os O(ii) OO OO OO OO OO OO OO OO}", n->REQUEST_METHOD, n->GET, n->SCRIPT_NAME,
        script, n->PATH_INFO, n->empty, n->QUERY_STRING, n->empty, n->RAW_URI, n->empty, n->REQUEST_URI, n->empty,
        n->SERVER_NAME, "localhost", n->SERVER_PORT, "80", n->SERVER_PROTOCOL, n->http_1_1, n->SERVER_SOFTWARE,
        tine_software, n->REMOTE_ADDR, "", n->wsgi_version, 1, 0, n->wsgi_url_scheme, n->http, n->wsgi_errors, errors,
        n->wsgi_multithread, wsgi->threads > 1 ? Py_True : Py_False, n->wsgi_multiprocess,
        wsgi->env.conf->server.workers > 1 ? Py_True : Py_False, n->wsgi_run_once, Py_False, n->wsgi_input_terminated,
        Py_True, n->wsgi_file_wrapper, (PyObject *)wsgi->file_type, n->draining, wsgi->draining);
    Py_DECREF(script);
    return wsgi->environ ? leave_room(wsgi->environ) : -1;
}

void wsgi_environ_done(struct wsgi *wsgi)
{
    Py_CLEAR(wsgi->environ);
    Py_CLEAR(wsgi->server_name.text);
    Py_CLEAR(wsgi->server_port.text);
    Py_CLEAR(wsgi->remote_addr.text);
    for (int i = 0; i < WSGI_KEY_SLOTS; i++)
        Py_CLEAR(wsgi->keys[i].key);
}

/* --- the request line --- */

static PyObject *method_name(const struct wsgi_names *n, struct span m)
{
    PyObject *known[] = { n->GET, n->POST, n->HEAD, n->PUT, n->DELETE, n->PATCH, n->OPTIONS };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((size_t)PyUnicode_GET_LENGTH(known[i]) == m.n && !memcmp(PyUnicode_1BYTE_DATA(known[i]), m.p, m.n))
            return Py_NewRef(known[i]);
    return latin1(m);
}

/* Percent-decoded bytes, each as one character (PEP 3333: "bytes-as-unicode"). */
static PyObject *decode_path(struct span raw)
{
    const char *percent = memchr(raw.p, '%', raw.n);
    if (!percent)
        return latin1(raw);
    char small[512], *to = raw.n <= sizeof small ? small : PyMem_Malloc(raw.n);
    if (!to)
        return PyErr_NoMemory();
    size_t at = (size_t)(percent - raw.p), n = at;
    memcpy(to, raw.p, at);
    while (at < raw.n) {
        int byte = raw.p[at] == '%' ? percent_byte(raw.p + at, raw.n - at) : -1;
        to[n++] = byte < 0 ? raw.p[at] : (char)byte;
        at += byte < 0 ? 1 : 3;
    }
    PyObject *s = latin1((struct span){ to, n });
    if (to != small)
        PyMem_Free(to);
    return s;
}

static int set_target(struct wsgi_call *c, PyObject *environ)
{
    const struct wsgi_names *n = &c->wsgi->names;
    struct span method = wsgi_call_span(c, c->method), path = wsgi_call_span(c, c->path);
    if (!span_eq(method, SPAN("GET")) && set_new(environ, n->REQUEST_METHOD, method_name(n, method)) < 0)
        return -1;
    PyObject *target = latin1(wsgi_call_span(c, c->target));
    if (!target || PyDict_SetItem(environ, n->RAW_URI, target) < 0 || set_new(environ, n->REQUEST_URI, target) < 0)
        return -1;
    size_t mounted = *c->wsgi->env.prefix ? route_match(span_of(c->wsgi->env.prefix), path) : 0;
    path = (struct span){ path.p + mounted, path.n - mounted };
    /* "OPTIONS *" is about no path; PATH_INFO is empty or begins with a slash. */
    if (path.n && !span_eq(path, SPAN("*")) && set_new(environ, n->PATH_INFO, decode_path(path)) < 0)
        return -1;
    return c->query.n ? set_new(environ, n->QUERY_STRING, latin1(wsgi_call_span(c, c->query))) : 0;
}

static int set_version(struct wsgi_call *c, PyObject *environ)
{
    const struct wsgi_names *n = &c->wsgi->names;
    if (c->version != HTTP_1_1 &&
        PyDict_SetItem(environ, n->SERVER_PROTOCOL, c->version == HTTP_2 ? n->http_2 : n->http_1_0) < 0)
        return -1;
    if (!c->https)
        return 0;
    return PyDict_SetItem(environ, n->wsgi_url_scheme, n->https) < 0 ? -1 : PyDict_SetItem(environ, n->HTTPS, n->on);
}

/* The prefix that a proxy has sent replaces app.root_path. */
static int set_prefix(struct wsgi_call *c, PyObject *environ)
{
    if (!c->prefix.n)
        return 0;
    PyObject *outer = latin1(wsgi_call_span(c, c->prefix));
    PyObject *inner = outer ? latin1(span_of(c->wsgi->env.prefix)) : NULL;
    int r = set_new(environ, c->wsgi->names.SCRIPT_NAME, inner ? PyUnicode_Concat(outer, inner) : NULL);
    Py_XDECREF(outer);
    Py_XDECREF(inner);
    return r;
}

/* --- addresses --- */

/* The text of these bytes; borrowed; kept until others come. */
static PyObject *text_of(struct wsgi_text *kept, struct span s)
{
    if (kept->text && !strncmp(kept->bytes, s.p, s.n) && !kept->bytes[s.n])
        return kept->text;
    PyObject *fresh = latin1(s);
    if (!fresh)
        return NULL;
    Py_XSETREF(kept->text, fresh);
    memcpy(kept->bytes, s.p, s.n);
    kept->bytes[s.n] = 0;
    return fresh;
}

static int set_text(PyObject *dict, PyObject *key, struct wsgi_text *kept, struct span s)
{
    if (s.n >= sizeof kept->bytes)
        return set_new(dict, key, latin1(s));
    PyObject *text = text_of(kept, s);
    return text ? PyDict_SetItem(dict, key, text) : -1;
}

/* `room` has PORT_ROOM bytes. */
static struct span port_text(char *room, unsigned port)
{
    // cppcheck-suppress ctuPointerArith ; one past the last is where it ends
    char *end = room + PORT_ROOM, *p = end;
    do
        *--p = (char)('0' + port % 10);
    while (port /= 10);
    return (struct span){ p, (size_t)(end - p) };
}

/* On a Unix socket only the Host field tells a name; it is what the client used to reach the proxy in front. */
static struct span host_field(const struct wsgi_call *c, struct span *ret_port)
{
    struct span host = SPAN("localhost");
    *ret_port = c->https ? SPAN("443") : SPAN("80");
    for (uint32_t i = 0; i < c->n_fields; i++)
        if (span_eq(wsgi_call_span(c, c->fields[i].name), SPAN("host")) && c->fields[i].value.n) {
            host = wsgi_call_span(c, c->fields[i].value);
            break;
        }
    const char *end = host.p + host.n, *colon = memrchr(host.p, ':', host.n);
    if (colon && !memchr(colon, ']', (size_t)(end - colon))) {
        if (end - colon > 1)
            *ret_port = (struct span){ colon + 1, (size_t)(end - colon - 1) };
        host.n = (size_t)(colon - host.p);
    }
    return host.n ? host : SPAN("localhost");
}

static int set_server(struct wsgi_call *c, PyObject *environ)
{
    struct wsgi *wsgi = c->wsgi;
    const struct wsgi_names *n = &wsgi->names;
    char number[PORT_ROOM];
    struct span name, port;
    if (c->has_server && c->server.port >= 0 && c->server.host[0]) {
        name = span_of(c->server.host);
        port = port_text(number, (unsigned)c->server.port);
    } else {
        name = host_field(c, &port);
    }
    return set_text(environ, n->SERVER_NAME, &wsgi->server_name, name) < 0
               ? -1
               : set_text(environ, n->SERVER_PORT, &wsgi->server_port, port);
}

static int set_client(struct wsgi_call *c, PyObject *environ)
{
    struct wsgi *wsgi = c->wsgi;
    char number[PORT_ROOM];
    if (!c->has_client || !c->client.host[0])
        return 0;
    if (set_text(environ, wsgi->names.REMOTE_ADDR, &wsgi->remote_addr, span_of(c->client.host)) < 0)
        return -1;
    if (c->client.port < 0)
        return 0;
    return set_new(environ, wsgi->names.REMOTE_PORT, latin1(port_text(number, (unsigned)c->client.port)));
}

/* --- fields --- */

static PyObject *make_key(const struct wsgi_names *n, struct span name)
{
    if (span_eq(name, SPAN("content-type")))
        return Py_NewRef(n->CONTENT_TYPE);
    if (span_eq(name, SPAN("content-length")))
        return Py_NewRef(n->CONTENT_LENGTH);
    PyObject *key = PyUnicode_New((Py_ssize_t)name.n + 5, 127);
    if (!key)
        return NULL;
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(key);
    memcpy(to, "HTTP_", 5);
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i];
        to[5 + i] = (Py_UCS1)(ch == '-' ? '_' : ch >= 'a' && ch <= 'z' ? ch - 32 : ch);
    }
    return key;
}

/* By length and by both ends, where names differ. */
static size_t slot_of(struct span name)
{
    uint64_t first = 0, last = 0;
    size_t n = name.n < 8 ? name.n : 8;
    memcpy(&first, name.p, n);
    memcpy(&last, name.p + name.n - n, n);
    return (size_t)(((first ^ last << 13 ^ last >> 51 ^ name.n) * 0x9e3779b97f4a7c15u) >> 56) % WSGI_KEY_SLOTS;
}

/* Names repeat from request to request: a key is kept per slot. New reference. */
static PyObject *field_key(struct wsgi *wsgi, struct span name)
{
    struct wsgi_key *slot = &wsgi->keys[slot_of(name)];
    if (slot->n == name.n && !memcmp(slot->name, name.p, name.n))
        return Py_NewRef(slot->key);
    PyObject *fresh = make_key(&wsgi->names, name);
    if (fresh && name.n <= WSGI_KEY_MAX) {
        PyUnicode_InternInPlace(&fresh);
        Py_XSETREF(slot->key, Py_NewRef(fresh));
        slot->n = (unsigned char)name.n;
        memcpy(slot->name, name.p, name.n);
    }
    return fresh;
}

/* A field that is there already: joined as RFC 9110 5.3 has it; cookies as RFC 6265 has it. */
static int join_field(const struct wsgi_names *n, PyObject *environ, PyObject *key, PyObject *before, PyObject *value)
{
    PyObject *pair = PyTuple_Pack(2, before, value);
    PyObject *both = pair ? PyUnicode_Join(key == n->HTTP_COOKIE ? n->semicolon : n->comma, pair) : NULL;
    Py_XDECREF(pair);
    return set_new(environ, key, both);
}

static int set_field(struct wsgi_call *c, PyObject *environ, const struct field *f)
{
    struct span name = wsgi_call_span(c, f->name);
    if (memchr(name.p, '_', name.n))
        return 0;
    PyObject *key = field_key(c->wsgi, name), *value = key ? latin1(wsgi_call_span(c, f->value)) : NULL;
    PyObject *there = value ? PyDict_SetDefault(environ, key, value) : NULL;
    int r = there ? 0 : -1;
    if (there && there != value)
        r = join_field(&c->wsgi->names, environ, key, there, value);
    Py_XDECREF(value);
    Py_XDECREF(key);
    return r;
}

static int set_fields(struct wsgi_call *c, PyObject *environ)
{
    for (uint32_t i = 0; i < c->n_fields; i++)
        if (set_field(c, environ, &c->fields[i]) < 0)
            return -1;
    return 0;
}

/* Bytes as text like all of environ: a name in UTF-8 has to be decoded (PEP 3333). */
static int set_variables(struct wsgi_call *c, PyObject *environ)
{
    struct span all = wsgi_call_span(c, c->tls);
    for (const char *p = all.p, *end = p + all.n; p < end;) {
        struct span name = span_of(p), value = span_of(name.p + name.n + 1);
        PyObject *key = PyUnicode_InternFromString(name.p);
        int r = key ? set_new(environ, key, latin1(value)) : -1;
        Py_XDECREF(key);
        if (r < 0)
            return -1;
        p = value.p + value.n + 1;
    }
    return 0;
}

PyObject *wsgi_environ_new(struct wsgi_call *c)
{
    PyObject *environ = PyDict_Copy(c->wsgi->environ);
    if (!environ)
        return NULL;
    if (set_target(c, environ) == 0 && set_prefix(c, environ) == 0 && set_version(c, environ) == 0 &&
        set_server(c, environ) == 0 && set_client(c, environ) == 0 && set_variables(c, environ) == 0 &&
        set_fields(c, environ) == 0 && set_new(environ, c->wsgi->names.wsgi_input, wsgi_input_new(c)) == 0 &&
        wsgi_socket_put(c, environ) == 0)
        return environ;
    Py_DECREF(environ);
    return NULL;
}
