/* SPDX-License-Identifier: BSD-3-Clause */
/* sock_ops.h: loop.sock_recv() and its kind. */
#ifndef TINE_PYTHON_SOCK_OPS_H
#define TINE_PYTHON_SOCK_OPS_H

#include "worker/python/pystate.h"

/* Adds the functions to `_tine`. 0, or -1 with an exception set. */
int sock_ops_init(PyObject *module, struct pystate *st);

#endif
