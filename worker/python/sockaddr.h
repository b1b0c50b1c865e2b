/* SPDX-License-Identifier: BSD-3-Clause */
/* sockaddr.h: addresses of IPv4 and IPv6 between the kernel's form and that of the module socket, where nobody has to be asked. */
#ifndef TINE_PYTHON_SOCKADDR_H
#define TINE_PYTHON_SOCKADDR_H

#include <Python.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

union sockaddr_any {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};

/* The tuple that socket.recvfrom() returns; NULL with an exception set. */
PyObject *sockaddr_tuple(const union sockaddr_any *from);
/* What socket.sendto() makes of the tuple for a socket of `family`. False: something else has to judge it, be it a name or
 * nonsense; no exception is set. */
bool sockaddr_parse(int family, PyObject *address, union sockaddr_any *to, socklen_t *ret_size);

#endif
