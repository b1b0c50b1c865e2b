/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_pairs.h: the (name, value) tuples of request fields. Clients send most of them again with every request: what was
 * made recently is reused, which costs a comparison in place of three objects. A pair is kept when it comes for the
 * second time, so values that are never the same cost nothing more. */
#ifndef TINE_ASGI_ASGI_PAIRS_H
#define TINE_ASGI_ASGI_PAIRS_H

#include <Python.h>
#include <stdint.h>

#include "common/span.h"

/* Direct-mapped; with ASGI_PAIR_MAX it bounds the memory of a worker to a few dozen KB. */
#define ASGI_PAIR_SLOTS 256
#define ASGI_NAME_SLOTS 128
#define ASGI_NAME_MAX 64
#define ASGI_PAIR_MAX 160 /* bytes of name and value */

struct asgi_pairs {
    PyObject *pairs[ASGI_PAIR_SLOTS];
    uint32_t seen[ASGI_PAIR_SLOTS]; /* hash of the latest pair that was not in its slot */
    PyObject *names[ASGI_NAME_SLOTS];
};

/* New reference to a tuple of two bytes objects; it may be shared. NULL: exception set. `name` is not empty. */
PyObject *asgi_pair(struct asgi_pairs *p, struct span name, struct span value);
void asgi_pairs_clear(struct asgi_pairs *p);

#endif
