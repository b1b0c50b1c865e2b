/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_offer.c: see asgi_offer.h. Runs no code of the application but os.fspath() and str() of a file's path and what gives
 * the attributes of a response, and raises nothing into it: whatever is not as expected means no. */
#include "worker/asgi/asgi_offer.h"

#include <frameobject.h>
#include <stdbool.h>

#include "conf/conf.h"
#include "worker/asgi/asgi_channel.h"
#include "worker/asgi/asgi_state.h"
#include "worker/http/req.h"
#include "worker/http/site.h"

struct offer {
    PyDictObject dict;
    struct asgi *asgi; /* NULL: made by the application, from the type of ours */
};

/* --- known code --- */

/* A function is recognised by the module whose globals it has, which functools.wraps() does not copy, and by the name in
 * its code. */
struct known {
    const char *module, *name;
    const char *without; /* not if it has this variable of the function around */
};

static const struct known file_response = { "starlette.responses", "__call__" };

/* Functions inside others, given as send(): they look at http.response.start, and pass every message on to the `send`
 * around them. */
static const struct known passing[] = {
    { "starlette._exception_handler", "sender" }, /* around each endpoint and all routes */
    { "starlette.middleware.errors", "_send" },
    { "starlette.middleware.exceptions", "sender" }, /* before 0.28 */
    { "starlette.middleware.sessions", "send_wrapper" },
    { "asgi_correlation_id.middleware", "handle_outgoing_request" },
    { "elasticapm.contrib.starlette", "wrapped_send" },
    { "prometheus_fastapi_instrumentator.middleware", "send_wrapper", .without = "body" }, /* which it collects */
    { "sentry_sdk.integrations.asgi", "_sentry_wrapped_send" },
};
/* Not OpenTelemetry's and starlette_exporter's, which take the time of the last http.response.body. */

/* Methods given as partial(method, send=send). */
static const struct known passing_methods[] = {
    { "starlette.middleware.cors", "send" },
};

#define N(array) (sizeof(array) / sizeof *(array))

static bool is_text(PyObject *o, const char *text)
{
    return o && PyUnicode_Check(o) && PyUnicode_CompareWithASCIIString(o, text) == 0;
}

static bool is_of(const struct asgi *asgi, PyObject *globals, PyCodeObject *code, const struct known *known)
{
    bool in_dict = globals && PyDict_Check(globals);
    PyObject *module = in_dict ? PyDict_GetItemWithError(globals, asgi->names.dunder_name) : NULL;
    return is_text(code->co_name, known->name) && is_text(module, known->module);
}

/* `function` may be NULL. */
static bool is_by(const struct asgi *asgi, PyObject *function, const char *module)
{
    PyObject *globals = function && PyFunction_Check(function) ? PyFunction_GET_GLOBALS(function) : NULL;
    return globals && is_text(PyDict_GetItemWithError(globals, asgi->names.dunder_name), module);
}

/* --- the way of a message --- */

/* Where `name` is among the variables of functions around this one; -1: nowhere. */
static Py_ssize_t enclosed_index(PyCodeObject *code, const char *name)
{
    PyObject *names = PyCode_GetFreevars(code);
    Py_ssize_t i = names ? PyTuple_GET_SIZE(names) - 1 : -1;
    while (i >= 0 && !is_text(PyTuple_GET_ITEM(names, i), name))
        i--;
    Py_XDECREF(names);
    return i;
}

static bool is_one_of(const struct asgi *asgi, PyObject *o, const struct known *known, size_t n)
{
    if (!PyFunction_Check(o))
        return false;
    PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(o);
    size_t i = 0;
    while (i < n && !is_of(asgi, PyFunction_GET_GLOBALS(o), code, &known[i]))
        i++;
    return i < n && (!known[i].without || enclosed_index(code, known[i].without) < 0);
}

/* The `send` of the function around; new reference or NULL, perhaps with an exception set. */
static PyObject *enclosed_send(PyObject *function)
{
    PyObject *closure = PyFunction_GET_CLOSURE(function);
    Py_ssize_t i = enclosed_index((PyCodeObject *)PyFunction_GET_CODE(function), "send");
    return closure && i >= 0 ? PyCell_Get(PyTuple_GET_ITEM(closure, i)) : NULL;
}

static PyObject *after_partial(struct asgi *asgi, PyObject *partial)
{
    PyObject *method = PyObject_GetAttr(partial, asgi->names.func);
    PyObject *keywords = method ? PyObject_GetAttr(partial, asgi->names.keywords) : NULL;
    PyObject *next = NULL;
    if (keywords && PyDict_Check(keywords) && PyMethod_Check(method) &&
        is_one_of(asgi, PyMethod_GET_FUNCTION(method), passing_methods, N(passing_methods)))
        next = Py_XNewRef(PyDict_GetItemWithError(keywords, asgi->names.send));
    Py_XDECREF(keywords);
    Py_XDECREF(method);
    return next;
}

/* Whom this send() gives all messages to; new reference or NULL, perhaps with an exception set. */
static PyObject *next_send(struct asgi *asgi, PyObject *send)
{
    if (is_one_of(asgi, send, passing, N(passing)))
        return enclosed_send(send);
    return Py_IS_TYPE(send, asgi->partial_type) ? after_partial(asgi, send) : NULL;
}

#define DEEPEST 100

/* Takes the reference. */
static bool leads_to_us(struct asgi *asgi, PyObject *send)
{
    for (unsigned i = 0; send && !Py_IS_TYPE(send, asgi->send_type); i++) {
        PyObject *next = i < DEEPEST ? next_send(asgi, send) : NULL;
        Py_SETREF(send, next);
    }
    bool ours = send != NULL;
    Py_XDECREF(send);
    return ours;
}

/* --- who asks --- */

static PyObject *local_variable(PyFrameObject *frame, PyObject *name)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyFrame_GetVar(frame, name);
#else
    PyObject *locals = PyFrame_GetLocals(frame), *value = locals ? PyObject_GetItem(locals, name) : NULL;
    Py_XDECREF(locals);
    return value;
#endif
}

static bool asks_for_file(const struct asgi *asgi, PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *globals = PyFrame_GetGlobals(frame);
    bool yes = is_of(asgi, globals, code, &file_response);
    Py_XDECREF(globals);
    Py_DECREF(code);
    return yes;
}

/* FileResponse puts str(path) into the message, but opens the path itself: of bytes, these are two different files. */
static bool has_plain_path(struct asgi *asgi, PyObject *response)
{
    PyObject *path = PyObject_GetAttr(response, asgi->names.path);
    PyObject *opened = path ? PyOS_FSPath(path) : NULL;
    PyObject *sent = opened && PyUnicode_Check(opened) ? PyObject_Str(path) : NULL;
    bool same = sent && PyUnicode_Compare(opened, sent) == 0;
    Py_XDECREF(sent);
    Py_XDECREF(opened);
    Py_XDECREF(path);
    return same;
}

/* Starlette's own method, or none, as in older versions: neither a derived class's, which may read something else, decrypt
 * it or count what is sent, nor what somebody has put in its place. */
static bool has_own_method(const struct asgi *asgi, PyObject *response, const char *name)
{
    PyObject *method = PyObject_GetAttrString(response, name);
    if (!method) {
        PyErr_Clear();
        return true;
    }
    PyObject *function = Py_XNewRef(PyMethod_Check(method) ? PyMethod_GET_FUNCTION(method) : NULL);
    if (is_by(asgi, function, "contextlib"))
        Py_SETREF(function, PyObject_GetAttrString(function, "__wrapped__"));
    bool own = is_by(asgi, function, file_response.module);
    PyErr_Clear();
    Py_XDECREF(function);
    Py_DECREF(method);
    return own;
}

/* A task in the background may change the file in place. What sendfile(2) has given the kernel is not copied: the client
 * would get what is in the file when it is sent. */
static bool has_background(PyObject *response)
{
    PyObject *background = PyObject_GetAttrString(response, "background");
    bool has = background && background != Py_None;
    PyErr_Clear();
    Py_XDECREF(background);
    return has;
}

static bool sends_as_usual(const struct asgi *asgi, PyObject *response)
{
    return has_own_method(asgi, response, "_open_file") && has_own_method(asgi, response, "_handle_simple") &&
           !has_background(response);
}

static bool is_harmless(struct asgi *asgi)
{
    PyFrameObject *frame = PyEval_GetFrame();
    if (!frame || !asks_for_file(asgi, frame))
        return false;
    Py_INCREF(frame);
    PyObject *response = local_variable(frame, asgi->names.self);
    bool yes = response && sends_as_usual(asgi, response) && has_plain_path(asgi, response) &&
               leads_to_us(asgi, local_variable(frame, asgi->names.send));
    Py_XDECREF(response);
    Py_DECREF(frame);
    PyErr_Clear();
    return yes;
}

/* --- the dictionary --- */

static int offer_contains(PyObject *o, PyObject *key)
{
    struct asgi *asgi = ((struct offer *)o)->asgi;
    int has = PyDict_Contains(o, key);
    return has || !asgi || !channel_is(key, asgi->names.response_pathsend) ? has : is_harmless(asgi);
}

/* Copies and pickles are plain dictionaries. */
static PyObject *offer_reduce(PyObject *o, PyObject *unused)
{
    PyObject *plain = PyDict_Copy(o);
    return plain ? Py_BuildValue("(O(N))", (PyObject *)&PyDict_Type, plain) : NULL;
}

static PyMethodDef offer_methods[] = { { "__reduce__", offer_reduce, METH_NOARGS, NULL }, { 0 } };

static PyType_Slot offer_slots[] = {
    { Py_tp_base, &PyDict_Type },
    { Py_sq_contains, offer_contains },
    { Py_tp_methods, offer_methods },
    { 0 },
};

static PyType_Spec offer_spec = {
    .name = "tine.Extensions",
    .basicsize = sizeof(struct offer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = offer_slots,
};

/* Applications without Starlette do not pay for it. */
static bool is_imported(const char *module)
{
    PyObject *modules = PyImport_GetModuleDict();
    return modules && PyDict_GetItemString(modules, module);
}

int asgi_offer_init(struct asgi *asgi)
{
    if (!asgi->env.app->asgi_extensions.judged || !is_imported(file_response.module))
        return 0;
    PyObject *functools = PyImport_ImportModule("functools");
    PyObject *partial = functools ? PyObject_GetAttrString(functools, "partial") : NULL;
    Py_XDECREF(functools);
    asgi->partial_type = (PyTypeObject *)partial;
    asgi->offer_type = partial ? (PyTypeObject *)PyType_FromSpec(&offer_spec) : NULL;
    return asgi->offer_type ? 0 : -1;
}

void asgi_offer_done(struct asgi *asgi)
{
    Py_CLEAR(asgi->partial_type);
    Py_CLEAR(asgi->offer_type);
}

PyObject *asgi_offer_copy(struct asgi *asgi, PyObject *extensions, const struct req *r)
{
    /* http.compress compresses what an application sends, but no files. */
    if (!asgi->offer_type || site_of(r->conn)->filter)
        return PyDict_Copy(extensions);
    PyObject *none = PyTuple_New(0), *o = none ? PyDict_Type.tp_new(asgi->offer_type, none, NULL) : NULL;
    Py_XDECREF(none);
    if (!o)
        return NULL;
    ((struct offer *)o)->asgi = asgi;
    if (PyDict_Update(o, extensions) < 0)
        Py_CLEAR(o);
    return o;
}
