/* SPDX-License-Identifier: BSD-3-Clause */
/* ipc.c: packets between master and workers over a socket pair. On the wire a packet is one byte of type and the
 * payload. */
#include "common/ipc.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/fdutil.h"

static const char *const names[IPC_N_TYPES] = {
#define IPC_MSG(name, direction, payload) [IPC_##name] = #name,
#include "common/ipc_msgs.def"
};

union fds_room {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
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

static int send_packet(int fd, enum ipc_type type, const void *payload, size_t n, const int *fds)
{
    const char *p = payload;
    if (n > IPC_MAX_PAYLOAD) {
        p += n - IPC_MAX_PAYLOAD;
        n = IPC_MAX_PAYLOAD;
    }
    uint8_t byte = (uint8_t)type;
    struct iovec v[2] = { { &byte, 1 }, { (void *)(uintptr_t)p, n } };
    struct msghdr msg = { .msg_iov = v, .msg_iovlen = n ? 2 : 1 };
    union fds_room room = { .align = { 0 } };
    if (fds) {
        size_t size = (fds[1] < 0 ? 1 : 2) * sizeof(int);
        msg.msg_control = room.bytes;
        msg.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_len = CMSG_LEN(size);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(head), fds, size);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

int ipc_send(int fd, enum ipc_type type, const void *payload, size_t n)
{
    return send_packet(fd, type, payload, n, NULL);
}

int ipc_send_with_fds(int fd, enum ipc_type type, const void *payload, size_t n, const int fds[2])
{
    return send_packet(fd, type, payload, n, fds);
}

static void take_fds(struct msghdr *msg, int fds[2])
{
    struct cmsghdr *head = CMSG_FIRSTHDR(msg);
    fds[0] = fds[1] = -1;
    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
        return;
    size_t size = head->cmsg_len - CMSG_LEN(0);
    if (size <= 2 * sizeof(int))
        memcpy(fds, CMSG_DATA(head), size);
}

static int recv_packet(int fd, struct ipc_msg *ret_msg, int *fds)
{
    uint8_t byte;
    struct iovec v[2] = { { &byte, 1 }, { ret_msg->payload, IPC_MAX_PAYLOAD } };
    struct msghdr msg = { .msg_iov = v, .msg_iovlen = 2 };
    union fds_room room;
    if (fds) {
        msg.msg_control = room.bytes;
        msg.msg_controllen = sizeof(room.bytes);
    }
    ssize_t got;
    /* ECONNRESET, reported once: the other side closed without reading all of our packets. Its own may still be here.
     * */
    do
        got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    if (fds)
        take_fds(&msg, fds);
    if (got == 0 || msg.msg_flags & MSG_TRUNC || byte >= IPC_N_TYPES)
        return -1;
    ret_msg->type = (enum ipc_type)byte;
    ret_msg->n = (size_t)got - 1;
    ret_msg->payload[ret_msg->n] = '\0';
    return 1;
}

int ipc_recv(int fd, struct ipc_msg *ret_msg)
{
    return recv_packet(fd, ret_msg, NULL);
}

int ipc_recv_with_fds(int fd, struct ipc_msg *ret_msg, int fds[2])
{
    fds[0] = fds[1] = -1;
    return recv_packet(fd, ret_msg, fds);
}
