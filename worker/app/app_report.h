/* SPDX-License-Identifier: BSD-3-Clause */
/* app_report.h: how the log speaks of a request to an application, the same for every interface. */
#ifndef TINE_APP_APP_REPORT_H
#define TINE_APP_APP_REPORT_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"

struct conf_list;

struct app_request {
    struct span method, target, version; /* of HTTP, "1.1" */
    const char *client;                  /* host; "": a Unix socket */
    int32_t port;
    const struct conf_list *hidden; /* log.redact */
    struct span id; /* of http.request_id; n = 0: none */
};

/* Room that a description needs. */
#define APP_DESCRIPTION 860

/* "GET /path?query HTTP/1.1" from 127.0.0.1:5000, request ID, cut to what fits; needs no GIL. */
void app_describe(char *to, size_t n, const struct app_request *request);

/* True if all of the exception comes from the class `gone`, which is raised after a disconnect: itself, what caused
 * it, or every leaf of a group. GIL held; leaves no exception set. */
bool app_from_disconnect(PyObject *gone, PyObject *exception);

/* "SystemExit" or "KeyboardInterrupt" if it is one of them, or a group that has one: the application wants the process to
 * end. Else NULL. GIL held; leaves no exception set. */
const char *app_exit_name(PyObject *exception);

#endif
