/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_tls.c: see asgi_tls.h. Client certificates that are not valid end in the handshake, so that client_cert_error is
 * always None. */
#include "worker/asgi/asgi_tls.h"

#include "worker/asgi/asgi_state.h"
#include "worker/tls/tls.h"

/* The server's certificate as text, which nearly all connections have in common. Borrowed. */
static PyObject *server_cert(struct asgi *asgi, const struct tls_info *info)
{
    if (asgi->tls_cert && asgi->tls_cert_id == info->server_cert_id)
        return asgi->tls_cert;
    PyObject *pem = PyUnicode_DecodeLatin1(info->server_cert.p, (Py_ssize_t)info->server_cert.n, NULL);
    if (!pem)
        return NULL;
    Py_XSETREF(asgi->tls_cert, pem);
    asgi->tls_cert_id = info->server_cert_id;
    return pem;
}

static PyObject *text_of(struct buf *b)
{
    struct span s = buf_span(b);
    PyObject *text = PyUnicode_DecodeUTF8(s.p, (Py_ssize_t)s.n, "replace");
    buf_release(b);
    return text;
}

/* The client's own certificate first. */
static PyObject *client_chain(const struct conn *c, bool any)
{
    PyObject *list = PyList_New(0);
    struct buf b = { NULL };
    for (size_t i = 0; any && list && tls_client_cert(c, i, &b); i++) {
        PyObject *pem = text_of(&b);
        if (!pem || PyList_Append(list, pem) < 0)
            Py_CLEAR(list);
        Py_XDECREF(pem);
    }
    buf_release(&b);
    PyObject *chain = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return chain;
}

static PyObject *client_name(const struct conn *c, bool any)
{
    struct buf b = { NULL };
    if (any && tls_client_name(c, &b))
        return text_of(&b);
    buf_release(&b);
    return Py_NewRef(Py_None);
}

PyObject *asgi_tls_new(struct asgi *asgi, const struct conn *c)
{
    struct tls_info info;
    tls_info(c, &info);
    PyObject *cert = server_cert(asgi, &info), *chain = NULL, *name = NULL, *d = NULL;
    if (cert && (chain = client_chain(c, info.has_client_cert)) && (name = client_name(c, info.has_client_cert)))
        d = Py_BuildValue("{sO sO sO sO sI sI}", "server_cert", cert, "client_cert_chain", chain, "client_cert_name",
                          name, "client_cert_error", Py_None, "tls_version", info.version, "cipher_suite", info.cipher);
    Py_XDECREF(chain);
    Py_XDECREF(name);
    return d;
}
