/* builtin.h: the handler of module = builtin:hello: answers "Hello, World!" from C. The floor that benchmarks compare
 * with, and a server to test HTTP with where no Python is wanted. POST bodies are read and echoed. */
#ifndef TINE_HTTP_BUILTIN_H
#define TINE_HTTP_BUILTIN_H

struct handler;

struct handler *builtin_hello(void);

#endif
