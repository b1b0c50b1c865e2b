/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_ext.h: extensions of the HTTP answer: pathsend, zerocopysend, early hints, trailers
 * (asgiref, specs/extensions.rst). */
#ifndef TINE_ASGI_ASGI_EXT_H
#define TINE_ASGI_ASGI_EXT_H

#include <Python.h>

#include "worker/asgi/asgi_channel.h"

struct exchange;

enum channel_result asgi_ext_pathsend(struct exchange *x, PyObject *message);
enum channel_result asgi_ext_zerocopysend(struct exchange *x, PyObject *message);
enum channel_result asgi_ext_early_hint(struct exchange *x, PyObject *message);
enum channel_result asgi_ext_trailers(struct exchange *x, PyObject *message);
/* The file of the message above is no longer needed. */
void asgi_ext_file_done(struct exchange *x);

#endif
