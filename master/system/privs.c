/* SPDX-License-Identifier: BSD-3-Clause */
/* privs.c: users and groups, and what the kernel lets a process with them do. */
#include "master/system/privs.h"

#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/exec_guard.h"
#include "common/fdutil.h"
#include "common/log.h"
#include "common/trusted.h"
#include "conf/conf.h"
#include "conf/log_dest.h"

/* A number written out. -1: not one. (uid_t)-1 means "unchanged" to the kernel and is no id. */
static int64_t id_number(const char *text)
{
    char *end;
    if (!*text || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    return errno || *end || n >= UINT32_MAX ? -1 : (int64_t)n;
}

/* *ret_name: for the list of groups; NULL for an id that has no name. */
static int resolve_user(struct privs *privs, const char *user, const char **ret_name)
{
    int64_t id = id_number(user);
    struct passwd *pw = id >= 0 ? getpwuid((uid_t)id) : getpwnam(user);
    if (!pw && id < 0) {
        log_critical("server.user: no user is named \"%s\"", user);
        return -1;
    }
    privs->uid = pw ? pw->pw_uid : (uid_t)id;
    *ret_name = NULL;
    if (pw) {
        privs->gid = pw->pw_gid;
        privs->name = strdup(pw->pw_name);
        privs->home = strdup(pw->pw_dir);
        if (!privs->name || !privs->home) {
            log_critical("out of memory");
            return -1;
        }
        *ret_name = privs->name;
    }
    return 0;
}

int privs_find_group(const char *group, gid_t *ret)
{
    int64_t id = id_number(group);
    struct group *gr = id >= 0 ? NULL : getgrnam(group);
    if (!gr && id < 0)
        return -1;
    *ret = gr ? gr->gr_gid : (gid_t)id;
    return 0;
}

static int resolve_group(struct privs *privs, const char *group)
{
    if (privs_find_group(group, &privs->gid) == 0)
        return 0;
    log_critical("server.group: no group is named \"%s\"", group);
    return -1;
}

/* The user's supplementary groups with the main one among them; just the main one if the user has
 * no name. */
static int resolve_groups(struct privs *privs, const char *name)
{
    privs->n_groups = 1;
    if (name) {
        gid_t one;
        int n = 1;
        if (getgrouplist(name, privs->gid, &one, &n) < 0 && n > 1)
            privs->n_groups = n;
    }
    privs->groups = calloc((size_t)privs->n_groups, sizeof(*privs->groups));
    if (!privs->groups) {
        log_critical("out of memory");
        return -1;
    }
    privs->groups[0] = privs->gid;
    if (name && getgrouplist(name, privs->gid, privs->groups, &privs->n_groups) < 0) {
        log_critical("server.user: the groups of \"%s\" cannot be read", name);
        return -1;
    }
    return 0;
}

int privs_resolve(struct privs *privs, const struct conf_server *conf)
{
    *privs = (struct privs){ .uid = geteuid(), .gid = getegid() };
    const char *name = NULL;
    if (!conf->user && !conf->group)
        return 0;
    if (conf->user && resolve_user(privs, conf->user, &name) < 0)
        return -1;
    if (conf->group && resolve_group(privs, conf->group) < 0)
        return -1;
    if (geteuid() != 0) {
        if (privs->uid == geteuid() && privs->gid == getegid())
            return 0;
        log_critical("server.%s: only root can run workers as another user", conf->user ? "user" : "group");
        return -1;
    }
    if (resolve_groups(privs, name) < 0)
        return -1;
    privs->drop = true;
    return 0;
}

void privs_done(struct privs *privs)
{
    free(privs->groups);
    free(privs->name);
    free(privs->home);
    privs->groups = NULL;
    privs->name = privs->home = NULL;
}

void privs_set_environment(const struct privs *privs)
{
    if (!privs->drop || !privs->name)
        return;
    if (setenv("HOME", privs->home, 1) < 0 || setenv("USER", privs->name, 1) < 0 ||
        setenv("LOGNAME", privs->name, 1) < 0)
        log_warning("HOME, USER and LOGNAME cannot be set: %s", strerror(errno));
}

static bool is_whom_it_should_be(const struct privs *privs)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;
    return getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0 && r == privs->uid && e == privs->uid &&
           s == privs->uid && rg == privs->gid && eg == privs->gid && sg == privs->gid;
}

int privs_drop(const struct privs *privs)
{
    if (!privs->drop)
        return 0;
    bool stays_root = privs->uid == 0;
    int guard = stays_root || TINE_EMBEDDED ? EXEC_GUARD_NONE : exec_guard_begin();
    if (setgroups((size_t)privs->n_groups, privs->groups) < 0 || setresgid(privs->gid, privs->gid, privs->gid) < 0 ||
        setresuid(privs->uid, privs->uid, privs->uid) < 0) {
        log_critical("cannot become user %u, group %u: %s", privs->uid, privs->gid, strerror(errno));
        return -1;
    }
    /* The change of user has cleared the capabilities, unless securebits or the guard say otherwise; the inheritable ones
     * it leaves. */
    if (!is_whom_it_should_be(privs) ||
        (!stays_root && (!exec_guard_keep(&guard) || setuid(0) == 0 || seteuid(0) == 0))) {
        log_critical("the rights of root could not be given up for good");
        return -1;
    }
    return 0;
}

int privs_no_new(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return 0;
    log_critical("server.no_new_privileges: %s", strerror(errno));
    return -1;
}

/* The real user of a process, from /proc/PID/status; -1: not to be had. */
static int64_t user_of(pid_t pid)
{
    char path[32], text[2048];
    unsigned uid;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    fd_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    /* The name in the first line has its newlines escaped. */
    const char *line = strstr(text, "\nUid:");
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes no number out of range
    return line && sscanf(line + 5, "%u", &uid) == 1 ? (int64_t)uid : -1;
}

bool privs_may_signal(const struct privs *privs, pid_t pid)
{
    siginfo_t info;
    if (pid <= 0)
        return false;
    return !privs->drop || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ||
           user_of(pid) == (int64_t)privs->uid;
}

void privs_signal(const struct privs *privs, pid_t pid, int signo)
{
    if (privs_may_signal(privs, pid))
        kill(pid, signo);
    else
        log_error("process %d is no worker: it gets no signal", (int)pid);
}

/* `path`: NULL or "-": nothing. */
static void give_file(const struct privs *privs, const char *path)
{
    struct stat st;
    if (!privs->drop || !path || strcmp(path, "-") == 0)
        return;
    int fd = trusted_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, LOG_FILE_MODE);
    if (fd < 0 && errno == EACCES) {
        log_warning("%s is not given to user %u: a link on the way to it is neither root's nor this process's", path,
                    privs->uid);
        return;
    }
    bool found = fd >= 0 && fstat(fd, &st) == 0;
    if (found && S_ISREG(st.st_mode) && st.st_uid != privs->uid && st.st_nlink != 1)
        log_warning("%s is not given to user %u: the file has another name as well", path, privs->uid);
    else if (!found || (S_ISREG(st.st_mode) && st.st_uid != privs->uid && fchown(fd, privs->uid, privs->gid) < 0))
        log_warning("%s cannot be given to user %u: %s", path, privs->uid, strerror(errno));
    fd_close(&fd);
}

void privs_give_logs(const struct privs *privs, const struct conf_log *conf)
{
    if (log_dest_parse(conf->errorlog).kind == LOG_DEST_FILE)
        give_file(privs, conf->errorlog);
    if (conf->accesslog && log_dest_parse(conf->accesslog).kind == LOG_DEST_FILE)
        give_file(privs, conf->accesslog);
}
