/* SPDX-License-Identifier: BSD-3-Clause */
/* listen_guard.c: see listen_guard.h. */
#include "master/listen/listen_guard.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A group of the owner's own, or one that somebody has chosen for the file. */
static bool group_was_chosen(uid_t owner, gid_t gid)
{
    if (gid == 0 || gid == (gid_t)owner)
        return true;
    const struct passwd *user = getpwuid(owner);
    if (!user || user->pw_gid != gid)
        return true;
    char name[LOGIN_NAME_MAX];
    if (snprintf(name, sizeof(name), "%s", user->pw_name) >= (int)sizeof(name))
        return false;
    const struct group *group = getgrgid(gid);
    return group && strcmp(group->gr_name, name) == 0;
}

/* `group` and `others`: the bits of a mode that let them pass. */
static bool is_gate(const struct stat *st, mode_t group, mode_t others)
{
    return !(st->st_mode & others) && (!(st->st_mode & group) || group_was_chosen(st->st_uid, st->st_gid));
}

/* A folder of a stranger is no gate: who owns it may open it. */
static bool is_ours(uid_t owner, uid_t of_socket)
{
    return owner == 0 || owner == geteuid() || owner == of_socket;
}

bool listen_is_guarded(const char *path)
{
    struct stat st;
    char real[PATH_MAX];
    if (!*path || *path == '@' || !realpath(path, real) || stat(real, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    if (is_gate(&st, S_IWGRP, S_IWOTH))
        return true;
    uid_t owner = st.st_uid;
    for (char *slash = strrchr(real, '/'); slash && slash != real; slash = strrchr(real, '/')) {
        *slash = '\0';
        if (stat(real, &st) == 0 && is_ours(st.st_uid, owner) && is_gate(&st, S_IXGRP, S_IXOTH))
            return true;
    }
    return false;
}
