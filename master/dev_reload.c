/* SPDX-License-Identifier: BSD-3-Clause */
/* dev_reload.c: what is watched: Python files below the working folder, below each app.pythonpath and beside an
 * application that is named as a file; the configuration file; and server.reload_extra_files; but nothing that
 * server.reload_exclude names. */
#include "master/dev_reload.h"

#include <errno.h>
#include <event2/event.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/plural.h"
#include "conf/conf.h"
#include "master/service.h"
#include "master/system/file_watch.h"

/* Editors and checkouts write several files, or one in several steps. A file that vanished will often
 * be back in a moment under its name. */
#define SETTLE_MS 40
#define VANISHED_MS 300
#define FRESH_S 2

struct dev_reload {
    const struct service *service;
    void (*on_change)(void *arg);
    void *arg;
    struct file_watch *watch;
    struct event timer;
    time_t newest;  /* of the files found */
    char **extra;   /* absolute patterns of reload_extra_files */
    size_t n_extra;
    char **exclude; /* of reload_exclude: absolute patterns, or names, which have no slash */
    size_t n_exclude;
    char here[PATH_MAX];
    char changed[PATH_MAX]; /* the first, for the log; "": none yet */
};

/* --- which files --- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static int match_flags(const char *pattern)
{
    return strstr(pattern, "**") ? 0 : FNM_PATHNAME;
}

/* Any part of the path has the name; of one below the working folder, those below that. */
static bool has_name(const struct dev_reload *dev, const char *pattern, const char *path)
{
    size_t n = strlen(dev->here);
    char name[NAME_MAX + 1];
    if (strncmp(path, dev->here, n) == 0 && path[n] == '/')
        path += n;
    for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
        n = strcspn(path, "/");
        snprintf(name, sizeof(name), "%.*s", (int)n, path);
        if (fnmatch(pattern, name, 0) == 0)
            return true;
        path += n;
    }
    return false;
}

/* A folder means everything below it, and need not be there yet. */
static bool is_excluded(const struct dev_reload *dev, const char *path)
{
    for (size_t i = 0; i < dev->n_exclude; i++) {
        const char *pattern = dev->exclude[i];
        if (pattern[0] == '/' ? fnmatch(pattern, path, match_flags(pattern) | FNM_LEADING_DIR) == 0
                              : has_name(dev, pattern, path))
            return true;
    }
    return false;
}

static bool is_wanted(const struct dev_reload *dev, const char *path)
{
    if (is_excluded(dev, path))
        return false;
    const char *name = strrchr(path, '/') + 1;
    const char *conf = service_conf(dev->service)->file;
    if (conf && strcmp(path, conf) == 0)
        return true;
    for (size_t i = 0; i < dev->n_extra; i++)
        if (fnmatch(dev->extra[i], path, match_flags(dev->extra[i])) == 0)
            return true;
    /* Editors' own files, such as Emacs' .#name.py, are hidden. */
    return name[0] != '.' && ends_with(name, ".py");
}

/* What is not the application's: hidden, compiled, installed. */
static bool enters(void *arg, const char *dir, const char *name)
{
    static const char *const others[] = { "__pycache__", "node_modules", "site-packages", "dist-packages" };
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(name, others[i]) == 0)
            return false;
    if (name[0] == '.' || (size_t)snprintf(path, sizeof(path), "%s/%s/pyvenv.cfg", dir, name) >= sizeof(path))
        return false;
    if (access(path, F_OK) == 0)
        return false;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return !is_excluded(arg, path);
}

/* --- when --- */

static void arm(struct dev_reload *dev, unsigned ms)
{
    struct timeval tv = { .tv_usec = (suseconds_t)ms * 1000 };
    evtimer_add(&dev->timer, &tv);
}

static void happened(void *arg, enum file_event event, const char *path)
{
    struct dev_reload *dev = arg;
    struct stat st;
    if (path && !is_wanted(dev, path))
        return;
    if (event == FILE_FOUND) {
        if (path && stat(path, &st) == 0 && st.st_mtime > dev->newest)
            dev->newest = st.st_mtime;
        return;
    }
    if (!*dev->changed)
        snprintf(dev->changed, sizeof(dev->changed), "%s", path ? path : "much");
    arm(dev, event == FILE_VANISHED ? VANISHED_MS : SETTLE_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct dev_reload *dev = arg;
    size_t n = strlen(dev->here);
    bool below = strncmp(dev->changed, dev->here, n) == 0 && dev->changed[n] == '/';
    log_info("%s has changed", below ? dev->changed + n + 1 : dev->changed);
    *dev->changed = '\0';
    dev->on_change(dev->arg);
}

static const struct file_watch_ops ops = { .enters = enters, .happened = happened };

/* --- where --- */

/* `path` seen from the working folder, without a slash at its end. false: too long. */
static bool absolute(const struct dev_reload *dev, const char *path, char to[PATH_MAX])
{
    int n = path[0] == '/' ? snprintf(to, PATH_MAX, "%s", path) : snprintf(to, PATH_MAX, "%s/%s", dev->here, path);
    if (n < 0 || n >= PATH_MAX)
        return false;
    while (n > 1 && to[n - 1] == '/')
        to[--n] = '\0';
    while (n > 2 && strcmp(to + n - 2, "/.") == 0)
        to[n -= 2] = '\0';
    return true;
}

static int watch_tree(struct dev_reload *dev, const char *path)
{
    char dir[PATH_MAX], real[PATH_MAX];
    if (!absolute(dev, path, dir))
        return 0;
    return file_watch_add(dev->watch, realpath(dir, real) ? real : dir, true);
}

static int watch_folder_of(struct dev_reload *dev, const char *path)
{
    char dir[PATH_MAX];
    if (!absolute(dev, path, dir))
        return 0;
    char *slash = strrchr(dir, '/');
    slash[slash == dir] = '\0';
    return file_watch_add(dev->watch, dir, false);
}

/* "path/to/file.py:attr" */
static int watch_folder_of_module(struct dev_reload *dev, const char *module)
{
    char dir[PATH_MAX];
    const char *slash = module && strstr(module, ".py:") ? strrchr(module, '/') : NULL;
    if (!slash || slash == module || (size_t)(slash - module) >= sizeof(dir))
        return 0;
    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - module), module);
    return watch_tree(dev, dir);
}

static int watch_app(struct dev_reload *dev, const struct conf_app *app)
{
    for (size_t i = 0; i < app->pythonpath.n; i++)
        if (watch_tree(dev, app->pythonpath.v[i]) < 0)
            return -1;
    return watch_folder_of_module(dev, app->module);
}

/* "A/" "**" "/B" is any depth, none included: as one pattern for fnmatch(3), whose star then takes
 * slashes too, the second slash goes. */
static void join_stars(char *pattern)
{
    for (char *p = pattern; (p = strstr(p, "**/")) != NULL; p += 2)
        memmove(p + 2, p + 3, strlen(p + 3) + 1);
}

/* NULL: out of memory. */
static const char *add_pattern(char ***patterns, size_t *n, const char *path, const char *end)
{
    char **v = reallocarray(*patterns, *n + 1, sizeof(*v));
    if (!v)
        return NULL;
    *patterns = v;
    if (asprintf(&v[*n], "%s%s", path, end) < 0)
        return NULL;
    join_stars(v[*n]);
    return v[(*n)++];
}

/* 0, or -1: out of memory. */
static int exclude(struct dev_reload *dev, const char *text)
{
    char path[PATH_MAX];
    if (strchr(text, '/') && !absolute(dev, strncmp(text, "./", 2) == 0 ? text + 2 : text, path))
        return 0;
    return add_pattern(&dev->exclude, &dev->n_exclude, strchr(text, '/') ? path : text, "") ? 0 : -1;
}

static void free_patterns(char **v, size_t n)
{
    while (n)
        free(v[--n]);
    free(v);
}

/* A folder means everything below it. The folders before the first wildcard are watched, with all
 * that is below them if a wildcard stands for a folder. */
static int watch_extra(struct dev_reload *dev, const char *text)
{
    char path[PATH_MAX], dir[PATH_MAX];
    struct stat st;
    if (!absolute(dev, text, path))
        return 0;
    bool all = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    const char *pattern = add_pattern(&dev->extra, &dev->n_extra, path, all ? "/**" : "");
    if (!pattern)
        return -1;
    snprintf(dir, sizeof(dir), "%s", pattern);
    dir[strcspn(dir, "*?[")] = '\0';
    char *slash = strrchr(dir, '/');
    const char *rest = pattern + (slash - dir) + 1;
    slash[slash == dir] = '\0';
    return file_watch_add(dev->watch, dir, strchr(rest, '/') || strstr(rest, "**"));
}

static int watch_all(struct dev_reload *dev)
{
    const struct conf *conf = service_conf(dev->service);
    for (size_t i = 0; i < conf->server.reload_exclude.n; i++)
        if (exclude(dev, conf->server.reload_exclude.v[i]) < 0)
            return -1;
    if (watch_tree(dev, ".") < 0 || watch_app(dev, &conf->app) < 0)
        return -1;
    for (size_t i = 0; i < conf->n_mounts; i++)
        if (watch_app(dev, &conf->mounts[i].app) < 0)
            return -1;
    for (size_t i = 0; i < conf->server.reload_extra_files.n; i++)
        if (watch_extra(dev, conf->server.reload_extra_files.v[i]) < 0)
            return -1;
    return conf->file ? watch_folder_of(dev, conf->file) : 0;
}

/* --- from outside --- */

static void say_what(const struct dev_reload *dev)
{
    int fault = file_watch_fault(dev->watch);
    size_t n = file_watch_count(dev->watch);
    log_info("server.reload: watching %zu folder%s for changes; for development only", n, plural(n));
    if (fault == ENOSPC)
        log_warning("server.reload: not every folder is watched: fs.inotify.max_user_watches is too "
                    "low");
    else if (fault == E2BIG)
        log_warning("server.reload: only %d folders are watched: start in the application's own "
                    "folder",
                    FILE_WATCH_MOST);
    else if (fault)
        log_warning("server.reload: not every folder is watched: %s", strerror(fault));
}

struct dev_reload *dev_reload_new(const struct service *service, void (*changed)(void *arg), void *arg)
{
    struct event_base *base = service->fleet.base;
    struct dev_reload *dev = calloc(1, sizeof(*dev));
    if (!dev)
        goto failed;
    dev->service = service;
    dev->on_change = changed;
    dev->arg = arg;
    dev->watch = file_watch_new(base, &ops, dev);
    if (!dev->watch || evtimer_assign(&dev->timer, base, on_timer, dev) < 0 || !getcwd(dev->here, sizeof(dev->here)) ||
        watch_all(dev) < 0)
        goto failed;
    say_what(dev);
    return dev;

failed:
    log_critical("server.reload: %s", strerror(errno));
    dev_reload_free(dev);
    return NULL;
}

void dev_reload_free(struct dev_reload *dev)
{
    if (!dev)
        return;
    file_watch_free(dev->watch);
    if (event_initialized(&dev->timer))
        evtimer_del(&dev->timer);
    free_patterns(dev->extra, dev->n_extra);
    free_patterns(dev->exclude, dev->n_exclude);
    free(dev);
}

bool dev_reload_is_fresh(const struct dev_reload *dev)
{
    return time(NULL) - dev->newest <= FRESH_S;
}
