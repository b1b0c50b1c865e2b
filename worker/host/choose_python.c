/* SPDX-License-Identifier: BSD-3-Clause */
/* choose_python.c: see choose_python.h. */
#include "worker/host/choose_python.h"

#include <config.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/why.h"
#include "conf/conf.h"

/* `name` below `folder`, absolute. False: too long. */
static bool join(char to[PATH_MAX], const char *folder, const char *name)
{
    char here[PATH_MAX] = "";
    const char *slash = "";
    if (folder[0] != '/') {
        if (!getcwd(here, sizeof here))
            return false;
        slash = "/";
    }
    int n = snprintf(to, PATH_MAX, "%s%s%s%s%s", here, slash, folder, *name ? "/" : "", name);
    return n > 0 && n < PATH_MAX;
}

static bool can_run(const char *path)
{
    struct stat st;
    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* --- a virtual environment --- */

/* The folder that pyvenv.cfg names as the home of its Python; "" if that cannot be read. */
static void read_home(const char *cfg, char home[PATH_MAX])
{
    char line[PATH_MAX + 64];
    FILE *in = fopen(cfg, "re");
    home[0] = '\0';
    while (in && fgets(line, sizeof line, in)) {
        char *value = strchr(line, '=');
        if (strncmp(line, "home", 4) != 0 || !value)
            continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\r\n")] = '\0';
        snprintf(home, PATH_MAX, "%.*s", PATH_MAX - 1, value);
        break;
    }
    if (in)
        fclose(in);
}

static int no_python_there(const char *venv, const char *cfg, const char *program, char **ret_why)
{
    struct stat st;
    char home[PATH_MAX];
    if (lstat(program, &st) < 0)
        return why_set(ret_why, "%s: it has no bin/python3: %s", venv, strerror(errno));
    if (stat(program, &st) < 0 && errno == ENOENT) {
        read_home(cfg, home);
        return why_set(ret_why,
                       "%s: the Python that it was made with is gone%s%s%s: make the virtual environment again", venv,
                       *home ? " (" : "", home, *home ? ")" : "");
    }
    return why_set(ret_why, "%s: %s cannot be run: %s", venv, program, strerror(errno));
}

static int choose_venv(const char *venv, struct python_choice *ret, char **ret_why)
{
    static const char *const names[] = { "bin/python3", "bin/python" };
    char cfg[PATH_MAX];
    if (!join(cfg, venv, "pyvenv.cfg"))
        return why_set(ret_why, "%s: %s", venv, strerror(ENAMETOOLONG));
    if (access(cfg, R_OK) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return why_set(ret_why, "%s: it is no virtual environment (pyvenv.cfg is missing)", venv);
        return why_set(ret_why, "%s: cannot be read: %s", cfg, strerror(errno));
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (join(ret->executable, venv, names[i]) && can_run(ret->executable))
            return 0;
    return join(ret->executable, venv, names[0]) ? no_python_there(venv, cfg, ret->executable, ret_why)
                                                 : why_set(ret_why, "%s: %s", venv, strerror(ENAMETOOLONG));
}

/* --- a program --- */

/* Looks for the name in PATH. */
static bool find_in_path(const char *name, char to[PATH_MAX])
{
    const char *at = getenv("PATH");
    for (size_t n; at && *at; at += n + (at[n] == ':')) {
        n = strcspn(at, ":");
        int k = snprintf(to, PATH_MAX, "%.*s/%s", (int)n, at, name);
        if (n && *at == '/' && k > 0 && k < PATH_MAX && can_run(to))
            return true;
    }
    return false;
}

static bool is_version(const char *text)
{
    return text[0] == '3' && text[1] == '.' && text[2] && text[strspn(text, "0123456789.")] == '\0';
}

/* app.python: a path, or a version or name to look for in PATH. */
static int choose_named(const char *python, struct python_choice *ret, char **ret_why)
{
    if (!strchr(python, '/')) {
        char name[NAME_MAX + 1];
        snprintf(name, sizeof name, "%s%s", is_version(python) ? "python" : "", python);
        if (find_in_path(name, ret->executable))
            return 0;
        return why_set(ret_why, "app.python %s: there is no %s in PATH: install it, or give its path", python, name);
    }
    if (!join(ret->executable, python, ""))
        return why_set(ret_why, "app.python %s: %s", python, strerror(ENAMETOOLONG));
    if (can_run(ret->executable))
        return 0;
    if (access(ret->executable, F_OK) < 0)
        return why_set(ret_why, "app.python %s: %s", python, strerror(errno));
    return why_set(ret_why, "app.python %s: it is no program that this user can run", python);
}

static bool own_folder(char to[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", to, PATH_MAX - 1);
    if (n <= 0)
        return false;
    to[n] = '\0'; /* perhaps "... (deleted)", once it was replaced: behind the folder */
    char *slash = strrchr(to, '/');
    if (slash && slash != to)
        *slash = '\0';
    return slash != NULL;
}

/* Installed by pip there is none but the one beside this program. In ~/.local/bin, and with Debian's pip in /usr/local/bin,
 * there is not even that, and it was the python3 of PATH. */
static int choose_own(struct python_choice *ret, char **ret_why)
{
    char folder[PATH_MAX];
    snprintf(ret->because, sizeof ret->because, "the Python that Tine was installed with");
    if (*TINE_PYTHON) {
        snprintf(ret->executable, PATH_MAX, "%s", TINE_PYTHON);
        if (can_run(ret->executable))
            return 0;
        return why_set(ret_why,
                       "%s, the Python that Tine was built for, cannot be run: %s; name one by app.python or app.venv",
                       TINE_PYTHON, strerror(errno));
    }
    if (own_folder(folder) && join(ret->executable, folder, "python3") && can_run(ret->executable))
        return 0;
    snprintf(ret->because, sizeof ret->because, "python3 in PATH");
    if (find_in_path("python3", ret->executable))
        return 0;
    return why_set(ret_why,
                   "there is no python3 beside this program (%s), nor in PATH: name one by app.python or app.venv",
                   folder);
}

/* An environment that nobody has named for Tine: one that cannot be used is passed over, with a warning. */
static bool take_active(const char *venv, const char *because, struct python_choice *ret)
{
    char *fault = NULL;
    if (choose_venv(venv, ret, &fault) == 0) {
        snprintf(ret->because, sizeof ret->because, "%s", because);
        return true;
    }
    log_warning("%s is not used: %s", because, fault ? fault : "out of memory");
    free(fault);
    return false;
}

int python_choose(const struct conf_app *conf, struct python_choice *ret, char **ret_why)
{
    const char *active = getenv("VIRTUAL_ENV");
    *ret_why = NULL;
    if (conf->python && *conf->python) {
        snprintf(ret->because, sizeof ret->because, "app.python");
        return choose_named(conf->python, ret, ret_why);
    }
    if (conf->venv && *conf->venv) {
        snprintf(ret->because, sizeof ret->because, "app.venv");
        char *fault = NULL;
        if (choose_venv(conf->venv, ret, &fault) == 0)
            return 0;
        int rc = why_set(ret_why, "app.venv %s", fault ? fault : "out of memory");
        free(fault);
        return rc;
    }
    if (active && *active && take_active(active, "the active virtual environment (VIRTUAL_ENV)", ret))
        return 0;
    bool here = access(".venv", F_OK) == 0 && (access(".venv/pyvenv.cfg", F_OK) == 0 || errno == EACCES);
    if (here && take_active(".venv", "./.venv", ret))
        return 0;
    return choose_own(ret, ret_why);
}

void python_module_folders(char folders[MODULE_FOLDERS][PATH_MAX])
{
    char folder[PATH_MAX];
    memset(folders, 0, MODULE_FOLDERS * sizeof folders[0]);
    if (own_folder(folder)) {
        snprintf(folders[0], PATH_MAX, "%s", folder);
        (void)!join(folders[1], folder, "../lib/tine");
    }
    snprintf(folders[2], PATH_MAX, "%s", TINE_PKGLIBDIR);
}
