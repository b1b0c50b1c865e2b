/* tine_test.h: what the test host must give the module `_tine_test`, and how it gets it in. Tests only. */
#ifndef TINE_TESTS_TINE_TEST_H
#define TINE_TESTS_TINE_TEST_H

#include <Python.h>

struct pyloop;

/* For PyImport_AppendInittab("_tine_test", PyInit__tine_test) before Python starts. */
PyMODINIT_FUNC PyInit__tine_test(void);
/* In the interpreter that the tests run in, once it has its loop: the module works on that loop. 0 or -1. */
int tine_test_use_loop(struct pyloop *loop);

#endif
