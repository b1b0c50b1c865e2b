/* ipc.c: see ipc.h. On the wire a packet is one byte of type and the payload. */
#include "common/ipc.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/fdutil.h"

static const char *const names[IPC_N_TYPES] = {
#define IPC_MSG(name, direction, payload) [IPC_##name] = #name,
#include "common/ipc_msgs.def"
};

const char *ipc_name(enum ipc_type type)
{
    return (unsigned)type < IPC_N_TYPES ? names[type] : "?";
}

int ipc_pair(int fds[2])
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    /* A packet must fit whatever net.core.wmem_default says; the kernel doubles the figure for its
     * own overhead. */
    int size = 4 * IPC_MAX_PAYLOAD;
    for (int i = 0; i < 2; i++) {
        if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0) {
            fd_close(&pair[0]);
            fd_close(&pair[1]);
            return -1;
        }
    }
    fds[0] = pair[0];
    fds[1] = pair[1];
    return 0;
}

int ipc_send(int fd, enum ipc_type type, const void *payload, size_t n)
{
    const char *p = payload;
    if (n > IPC_MAX_PAYLOAD) {
        p += n - IPC_MAX_PAYLOAD;
        n = IPC_MAX_PAYLOAD;
    }
    uint8_t byte = (uint8_t)type;
    struct iovec v[2] = { { &byte, 1 }, { (void *)(uintptr_t)p, n } };
    struct msghdr msg = { .msg_iov = v, .msg_iovlen = n ? 2 : 1 };
    ssize_t sent;
    do
        sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

int ipc_recv(int fd, struct ipc_msg *ret_msg)
{
    uint8_t byte;
    struct iovec v[2] = { { &byte, 1 }, { ret_msg->payload, IPC_MAX_PAYLOAD } };
    struct msghdr msg = { .msg_iov = v, .msg_iovlen = 2 };
    ssize_t got;
    do
        got = recvmsg(fd, &msg, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    if (got == 0 || msg.msg_flags & MSG_TRUNC || byte >= IPC_N_TYPES)
        return -1;
    ret_msg->type = (enum ipc_type)byte;
    ret_msg->n = (size_t)got - 1;
    ret_msg->payload[ret_msg->n] = '\0';
    return 1;
}
