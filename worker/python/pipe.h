/* SPDX-License-Identifier: BSD-3-Clause */
/* pipe.h: ReadPipeTransport and WritePipeTransport, the loop's transports for pipes, those of subprocesses among them. */
#ifndef TINE_PYTHON_PIPE_H
#define TINE_PYTHON_PIPE_H

#include "worker/python/pystate.h"

/* Makes the types. 0, or -1 with an exception set. */
int pipe_types_init(PyObject *module, struct pystate *st);

#endif
