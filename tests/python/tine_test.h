/* SPDX-License-Identifier: BSD-3-Clause */
/* tine_test.h: how the test host gets the module `_tine_test` in. Tests only. */
#ifndef TINE_TESTS_TINE_TEST_H
#define TINE_TESTS_TINE_TEST_H

#include <Python.h>

/* Name of the capsule, `pyloop` in __main__, that holds the struct pyloop for _tine_test.use(). */
#define TINE_TEST_LOOP "tine.pyloop"

/* For PyImport_AppendInittab("_tine_test", PyInit__tine_test) before Python starts. */
PyMODINIT_FUNC PyInit__tine_test(void);

#endif
