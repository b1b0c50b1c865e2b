/* SPDX-License-Identifier: BSD-3-Clause */
/* hosting.c: up to HOSTED the child is our own code, or a Python that has run nothing of the application, not even site,
 * and that no other process can trace (privs.h). So the descriptor that comes with it is what that Python has loaded, and
 * a worker that was taken over cannot choose the code of the next generation. */
#include "master/fleet/hosting.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fdutil.h"
#include "common/heritage.h"
#include "common/ipc.h"
#include "master/fleet/generation.h"

static bool is_file(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The first that a worker of the generation has loaded stays its module. Takes *fd if it is kept. */
static void hold(struct generation *generation, const char *path, int *fd)
{
    struct held_module *module = &generation->module;
    if (module->fd >= 0 || !is_file(*fd) || !(module->path = strdup(path)))
        return;
    module->fd = *fd;
    *fd = -1;
}

static void on_hosting(enum hosting *state, struct generation *generation, const struct ipc_msg *msg, int fds[2])
{
    if (msg->type == IPC_BECOMES && *state == HOSTING_OURS) {
        *state = HOSTING_AWAY;
        if (generation)
            generation_becomes(generation, msg->payload);
    } else if (msg->type == IPC_HOSTED && *state == HOSTING_AWAY) {
        *state = HOSTING_DONE;
        if (generation)
            hold(generation, msg->payload, &fds[0]);
    }
}

int hosting_recv(enum hosting *state, struct generation *generation, int fd, struct ipc_msg *ret_msg)
{
    if (*state == HOSTING_DONE)
        return ipc_recv(fd, ret_msg);
    int fds[2], got = ipc_recv_with_fds(fd, ret_msg, fds);
    if (got > 0)
        on_hosting(state, generation, ret_msg, fds);
    fd_close(&fds[0]);
    fd_close(&fds[1]);
    return got;
}

const struct held_module *hosting_module(const struct generation *generation, const struct generation *serving)
{
    if (generation->module.fd >= 0)
        return &generation->module;
    return serving && serving->module.fd >= 0 ? &serving->module : NULL;
}
