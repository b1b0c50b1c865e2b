/* SPDX-License-Identifier: BSD-3-Clause */
/* alone.c: Tine's module in a Python that is no worker: `_tine`, with the event loop, as the package tine (package/) loads
 * it. Nothing of the server runs there. */
#include <Python.h>

#include "worker/python/pystate.h"

PyMODINIT_FUNC PyInit__tine(void);

PyMODINIT_FUNC PyInit__tine(void)
{
    return pystate_alone();
}
