/* SPDX-License-Identifier: BSD-3-Clause */
/* choose_python.h: which Python runs the application, and where its module of Tine may be. Starts no process. */
#ifndef TINE_HOST_CHOOSE_PYTHON_H
#define TINE_HOST_CHOOSE_PYTHON_H

#include <limits.h>

struct conf_app;

struct python_choice {
    char executable[PATH_MAX]; /* absolute, not resolved: a virtual environment is known by the name of its link */
    char because[PATH_MAX +
                 32]; /* for the log: "app.venv .venv", "VIRTUAL_ENV", "./.venv", "the Python of this build" */
};

/* In this order: app.python, app.venv, VIRTUAL_ENV, ./.venv, the Python that this program was built with or installed
 * beside. 0, or -1 with *ret_why, to be freed (NULL: out of memory): which one cannot be used, why, and what to do. */
int python_choose(const struct conf_app *conf, struct python_choice *ret, char **ret_why)
    __attribute__((warn_unused_result));

/* Folders to look in for _tine.*.so: that of this program (a build tree), ../lib/tine beside it, and where it was installed
 * to. */
#define MODULE_FOLDERS 3
void python_module_folders(char folders[MODULE_FOLDERS][PATH_MAX]);

#endif
