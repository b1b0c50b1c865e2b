/* SPDX-License-Identifier: BSD-3-Clause */
/* pyerr.h: Python exceptions for people: formatted, logged, recognised. GIL held throughout. */
#ifndef TINE_PYTHON_PYERR_H
#define TINE_PYTHON_PYERR_H

#include <Python.h>
#include <stdbool.h>

#include "common/log.h"

/* Takes the exception that is set (there must be one) and returns it normalised, traceback
 * attached. New reference. */
PyObject *pyerr_take(void);
/* The full traceback as Python prints it, chained exceptions included; malloc'ed, NUL-terminated,
 * never NULL. */
char *pyerr_format(PyObject *exception);
/* Takes the exception that is set and logs it after `first` (a line without end). */
void pyerr_log(enum log_level level, const char *first);
/* Same for an exception object. */
void pyerr_log_exception(enum log_level level, const char *first, PyObject *exception);
/* Logs an exception that the application has not handled, at level ERROR, and hands it to the logger tine.error of Python's
 * logging, if that has handlers of the application or of log.logconfig; without them nothing is called, since collectors that
 * patch all loggers have the exception already. Whatever that raises is dropped. */
void pyerr_log_unhandled(const char *first, PyObject *exception);
/* True if the exception, its cause or its context says that something refuses to run in a
 * sub-interpreter (PyO3, numpy, "only works in main thread of the main interpreter", os.fork ...).
 * *ret_module: name of the module that refused, malloc'ed, may be NULL. */
bool pyerr_refuses_subinterpreter(PyObject *exception, char **ret_module);

#endif
