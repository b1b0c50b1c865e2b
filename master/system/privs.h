/* SPDX-License-Identifier: BSD-3-Clause */
/* privs.h: whom the workers run as. Names are resolved once, in the master; a worker only makes the system calls. */
#ifndef TINE_MASTER_PRIVS_H
#define TINE_MASTER_PRIVS_H

#include <stdbool.h>
#include <sys/types.h>

struct conf_log;
struct conf_server;

struct privs {
    bool drop; /* false: nothing to do */
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    int n_groups;
    char *name, *home; /* of the user; NULL: the id has none, or no user is named */
};

/* 0, or -1: logged. */
int privs_resolve(struct privs *privs, const struct conf_server *conf) __attribute__((warn_unused_result));
void privs_done(struct privs *privs);
/* The number of a group, by name or as digits. 0, or -1: there is none. */
int privs_find_group(const char *group, gid_t *ret) __attribute__((warn_unused_result));
/* In the child. Checks that there is no way back, and that no capability is left, except one that guards it until the
 * application's Python is a worker (exec_guard.h). 0, or -1: logged. */
int privs_drop(const struct privs *privs) __attribute__((warn_unused_result));
/* In the child: no program that it starts gets rights that it does not have (prctl(2),
 * PR_SET_NO_NEW_PRIVS). 0, or -1: logged. */
int privs_no_new(void) __attribute__((warn_unused_result));
/* In the child: HOME, USER and LOGNAME of whom it runs as now. Root's would lead libraries to files
 * that they may not read. */
void privs_set_environment(const struct privs *privs);
/* Whether the process is a child of this one, or runs as the workers do: then a signal to it is no more than they could
 * send themselves. A mold's word for a process id is the application's user's. */
bool privs_may_signal(const struct privs *privs, pid_t pid);
/* kill(2) after that question. */
void privs_signal(const struct privs *privs, pid_t pid, int signo);
/* Log files belong to the workers if those run as another user, who may have no right to make them: makes the files of
 * both logs that are not there and gives them to the workers. What is not a regular file is left alone, and so is a file
 * with a second name, or one behind a link that is not root's: whoever may write to the folder could have put another
 * user's file there. Logged when it fails. */
void privs_give_logs(const struct privs *privs, const struct conf_log *conf);

#endif
