/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_host.h: how the host of a foreign loop is made. */
#ifndef TINE_PYTHON_LOOP_HOST_H
#define TINE_PYTHON_LOOP_HOST_H

#include <Python.h>

struct loop_ops;

/* An instance of its class Host; NULL: an exception is set, which names the package and the versions where the library cannot
 * be imported. `factory`: app.loop_factory, or NULL. GIL held. */
PyObject *loop_host_new(const struct loop_ops *ops, const char *factory);

#endif
