/* SPDX-License-Identifier: BSD-3-Clause */
/* datagram.h: DatagramTransport, the loop's transport for UDP. */
#ifndef TINE_PYTHON_DATAGRAM_H
#define TINE_PYTHON_DATAGRAM_H

#include "worker/python/pystate.h"

/* Makes the type. 0, or -1 with an exception set. */
int datagram_type_init(PyObject *module, struct pystate *st);

#endif
