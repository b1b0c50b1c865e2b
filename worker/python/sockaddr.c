/* SPDX-License-Identifier: BSD-3-Clause */
/* sockaddr.c: addresses by number. Runs no code of the application's: only exact strings and integers are looked at. */
#include "worker/python/sockaddr.h"

#include <arpa/inet.h>
#include <string.h>

enum { FLOW_MAX = 0xfffff };

PyObject *sockaddr_tuple(const union sockaddr_any *from)
{
    char host[INET6_ADDRSTRLEN];
    if (from->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &from->v4.sin_addr, host, sizeof host);
        return Py_BuildValue("si", host, ntohs(from->v4.sin_port));
    }
    inet_ntop(AF_INET6, &from->v6.sin6_addr, host, sizeof host);
    return Py_BuildValue("siII", host, ntohs(from->v6.sin6_port), ntohl(from->v6.sin6_flowinfo),
                         from->v6.sin6_scope_id);
}

static bool number_at(PyObject *tuple, Py_ssize_t i, unsigned long max, unsigned long *ret)
{
    PyObject *item = PyTuple_GET_ITEM(tuple, i);
    if (!PyLong_CheckExact(item))
        return false;
    unsigned long number = PyLong_AsUnsignedLong(item);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    *ret = number;
    return number <= max;
}

static bool host_of(int family, PyObject *host, void *to)
{
    const char *text = PyUnicode_CheckExact(host) && PyUnicode_IS_ASCII(host) ? PyUnicode_AsUTF8(host) : NULL;
    return text && strlen(text) == (size_t)PyUnicode_GET_LENGTH(host) && inet_pton(family, text, to) == 1;
}

static bool parse_v4(PyObject *address, struct sockaddr_in *to)
{
    unsigned long port;
    if (PyTuple_GET_SIZE(address) != 2 || !number_at(address, 1, UINT16_MAX, &port))
        return false;
    memset(to, 0, sizeof *to);
    to->sin_family = AF_INET;
    to->sin_port = htons((uint16_t)port);
    return host_of(AF_INET, PyTuple_GET_ITEM(address, 0), &to->sin_addr);
}

static bool parse_v6(PyObject *address, struct sockaddr_in6 *to)
{
    unsigned long port, flow = 0, scope = 0;
    Py_ssize_t n = PyTuple_GET_SIZE(address);
    if (n < 2 || n > 4 || !number_at(address, 1, UINT16_MAX, &port) ||
        (n > 2 && !number_at(address, 2, FLOW_MAX, &flow)) || (n > 3 && !number_at(address, 3, UINT32_MAX, &scope)))
        return false;
    memset(to, 0, sizeof *to);
    to->sin6_family = AF_INET6;
    to->sin6_port = htons((uint16_t)port);
    to->sin6_flowinfo = htonl((uint32_t)flow);
    to->sin6_scope_id = (uint32_t)scope;
    return host_of(AF_INET6, PyTuple_GET_ITEM(address, 0), &to->sin6_addr);
}

bool sockaddr_parse(int family, PyObject *address, union sockaddr_any *to, socklen_t *ret_size)
{
    if (!PyTuple_CheckExact(address))
        return false;
    *ret_size = family == AF_INET ? sizeof to->v4 : sizeof to->v6;
    return family == AF_INET ? parse_v4(address, &to->v4) : parse_v6(address, &to->v6);
}
