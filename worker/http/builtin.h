/* SPDX-License-Identifier: BSD-3-Clause */
/* builtin.h: handlers that need no Python. */
#ifndef TINE_HTTP_BUILTIN_H
#define TINE_HTTP_BUILTIN_H

struct handler;

/* Of module = builtin:hello: answers "Hello, World!" from C. The floor that benchmarks compare with, and a server for
 * testing HTTP without Python. POST bodies are read and echoed. */
struct handler *builtin_hello(void);
/* 404: no application has the path. */
struct handler *builtin_not_found(void);

#endif
