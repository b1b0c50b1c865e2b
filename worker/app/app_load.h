/* SPDX-License-Identifier: BSD-3-Clause */
/* app_load.h: from "pkg.mod:attr" to a Python object and the interface that fits it. */
#ifndef TINE_APP_APP_LOAD_H
#define TINE_APP_APP_LOAD_H

#include <Python.h>

struct conf_app;
struct interface_choice;
struct interface_ops;

/* Imports what conf->module names: "pkg.mod:attr.attr", "pkg.mod:factory()", "dir/file.py:attr"; without ":attr",
 * "app" then "application" is tried. *ret_interface: the interface of conf->interface, or the one detected.
 * `interfaces`: the list to choose from. New reference, or NULL with an exception set whose text says what to do.
 * GIL held. */
PyObject *app_load(const struct interface_choice *interfaces, const struct conf_app *conf,
                   const struct interface_ops **ret_interface);

/* Configures Python's logging by a file (log.logconfig), before app_load(). 0, or -1 with an exception set. GIL held. */
int app_configure_logging(const char *path);
/* The module "pkg.mod" or "dir/file.py", looked for in the same way. New reference, or NULL with an exception set. GIL
 * held. */
PyObject *app_import(const char *name);

#endif
