/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_fields.h: header fields of the application's messages as spans, its flags and status. */
#ifndef TINE_ASGI_ASGI_FIELDS_H
#define TINE_ASGI_ASGI_FIELDS_H

#include <Python.h>

struct resp_field;

/* Header fields of a message: 0 and *ret_fields, *ret_n, *ret_keep (hold it while the spans are used), or -1 with an
 * exception set. `small` has room for `small_n`; *ret_fields is freed by PyMem_Free if it is not `small`. */
int asgi_fields(PyObject *headers, struct resp_field *small, size_t small_n, struct resp_field **ret_fields,
                size_t *ret_n, PyObject **ret_keep);
/* message["status"], an int or what stands for one (IntEnum); 0: none that a response can have; -1 with an exception set, which
 * names the message's `type`. */
int asgi_status(PyObject *message, PyObject *key, const char *type);
/* Truth of message[key]; 0 if there is none; -1 with an exception set. */
int asgi_flag(PyObject *message, PyObject *key);

#endif
