/* worker.c: the life of a worker, without an application: says READY and waits for the end. */
#include "common/heritage.h"

#include <poll.h>

#include "common/ipc.h"

const char *worker_versions(void)
{
    return "";
}

int worker_main(const struct heritage *heritage)
{
    static struct ipc_msg msg;
    if (ipc_send(heritage->ipc_fd, IPC_READY, NULL, 0) < 0)
        return WORKER_EXIT_BOOT;
    for (;;) {
        struct pollfd p = { .fd = heritage->ipc_fd, .events = POLLIN };
        poll(&p, 1, -1);
        int got = ipc_recv(heritage->ipc_fd, &msg);
        if (got < 0 || (got > 0 && (msg.type == IPC_DRAIN || msg.type == IPC_QUIT)))
            return WORKER_EXIT_OK;
    }
}
