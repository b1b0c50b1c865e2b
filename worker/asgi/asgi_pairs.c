/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_pairs.c: see asgi_pairs.h. It must never keep what may be a secret: such fields are made anew each time, and are
 * gone with their request. */
#include "worker/asgi/asgi_pairs.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Of the length and the eight bytes at either end, which is where names and values differ. */
static uint64_t hash_of(struct span s)
{
    uint64_t first = 0, last = 0;
    if (s.n >= 8) {
        memcpy(&first, s.p, 8);
        memcpy(&last, s.p + s.n - 8, 8);
    } else if (s.n >= 4) {
        memcpy(&first, s.p, 4);
        memcpy(&last, s.p + s.n - 4, 4);
    } else {
        for (size_t i = 0; i < s.n; i++)
            first = first << 8 | (unsigned char)s.p[i];
    }
    uint64_t h = (first * 0x9e3779b97f4a7c15u) ^ last ^ s.n;
    h = (h ^ h >> 32) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static bool bytes_are(PyObject *bytes, struct span s)
{
    return (size_t)PyBytes_GET_SIZE(bytes) == s.n && memcmp(PyBytes_AS_STRING(bytes), s.p, s.n) == 0;
}

static PyObject *name_of(struct asgi_pairs *p, struct span name, uint64_t hash)
{
    PyObject **slot = &p->names[hash % ASGI_NAME_SLOTS];
    if (*slot && bytes_are(*slot, name))
        return Py_NewRef(*slot);
    PyObject *fresh = PyBytes_FromStringAndSize(name.p, (Py_ssize_t)name.n);
    if (fresh && name.n <= ASGI_NAME_MAX)
        Py_XSETREF(*slot, Py_NewRef(fresh));
    return fresh;
}

/* By the name, in lower case: Authorization, Cookie, X-Api-Key, X-CSRF-Token, X-Session-Id and the like. */
static bool may_be_secret(struct span name)
{
    static const struct span words[] = { { "auth", 4 },   { "cookie", 6 },  { "token", 5 }, { "key", 3 },
                                         { "secret", 6 }, { "session", 7 }, { "pass", 4 },  { "cert", 4 } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (memmem(name.p, name.n, words[i].p, words[i].n))
            return true;
    }
    return false;
}

static PyObject *pair_new(struct asgi_pairs *p, struct span name, uint64_t name_hash, struct span value)
{
    PyObject *pair = PyTuple_New(2);
    if (!pair)
        return NULL;
    PyTuple_SET_ITEM(pair, 0, name_of(p, name, name_hash));
    PyTuple_SET_ITEM(pair, 1, PyBytes_FromStringAndSize(value.p, (Py_ssize_t)value.n));
    if (!PyTuple_GET_ITEM(pair, 0) || !PyTuple_GET_ITEM(pair, 1))
        Py_CLEAR(pair);
    return pair;
}

PyObject *asgi_pair(struct asgi_pairs *p, struct span name, struct span value)
{
    uint64_t name_hash = hash_of(name), hash = name_hash * 0x9e3779b97f4a7c15u + hash_of(value);
    PyObject **slot = &p->pairs[hash % ASGI_PAIR_SLOTS], *pair = *slot;
    if (pair && bytes_are(PyTuple_GET_ITEM(pair, 0), name) && bytes_are(PyTuple_GET_ITEM(pair, 1), value))
        return Py_NewRef(pair);
    pair = pair_new(p, name, name_hash, value);
    uint32_t *seen = &p->seen[hash % ASGI_PAIR_SLOTS], tag = (uint32_t)(hash >> 32);
    if (pair && *seen == tag && name.n + value.n <= ASGI_PAIR_MAX && !may_be_secret(name))
        Py_XSETREF(*slot, Py_NewRef(pair));
    *seen = tag;
    return pair;
}

void asgi_pairs_clear(struct asgi_pairs *p)
{
    for (size_t i = 0; i < ASGI_PAIR_SLOTS; i++)
        Py_CLEAR(p->pairs[i]);
    for (size_t i = 0; i < ASGI_NAME_SLOTS; i++)
        Py_CLEAR(p->names[i]);
}
