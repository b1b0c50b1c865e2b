/* SPDX-License-Identifier: BSD-3-Clause */
/* app_mismatch.h: an application that is called by another interface than it has, because app.interface says so or
 * because it takes any arguments: its errors alone do not tell. GIL held. */
#ifndef TINE_APP_APP_MISMATCH_H
#define TINE_APP_APP_MISMATCH_H

#include <Python.h>
#include <stdbool.h>

struct app_env;

/* Whether the exception of a request, or what the application has returned (NULL: nothing), shows that it is not `interface`:
 * "asgi", "asgi2" or "wsgi". An exception that is set stays set. */
bool app_is_mismatch(const char *interface, PyObject *exception, PyObject *result);
/* Logs it with the setting that would help, at the first request, which sets *said. */
void app_say_mismatch(const struct app_env *env, const char *interface, bool *said);

#endif
