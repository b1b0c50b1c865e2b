/* SPDX-License-Identifier: BSD-3-Clause */
/* tcp.c: the plain transport: bytes go to the socket as they are (TCP and Unix). */
#include "worker/net/transport.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "common/descriptors.h"
#include "common/likely.h"
#include "worker/net/conn.h"

/* What was read or written. The application may have closed the descriptor: the next answer would go into its own file. */
static ssize_t checked(ssize_t n)
{
    if (unlikely(n < 0) && (errno == EBADF || errno == ENOTSOCK))
        descriptor_lost("a client's connection");
    return n;
}

static ssize_t tcp_read(struct conn *c, void *p, size_t n)
{
    return checked(recv(c->fd, p, n, 0));
}

static ssize_t tcp_writev(struct conn *c, const struct iovec *v, int n)
{
    /* A head goes out in one packet with the start of the file after it. */
    int flags = MSG_NOSIGNAL | (c->file_left ? MSG_MORE : 0);
    if (n == 1)
        return checked(send(c->fd, v->iov_base, v->iov_len, flags));
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n };
    return checked(sendmsg(c->fd, &m, flags));
}

static ssize_t tcp_sendfile(struct conn *c, int fd, off_t *offset, size_t n)
{
    return sendfile(c->fd, fd, offset, n);
}

static void tcp_shutdown(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

const struct transport_ops transport_tcp = {
    .name = "tcp",
    .short_read_drains = true,
    .read = tcp_read,
    .writev = tcp_writev,
    .sendfile = tcp_sendfile,
    .shutdown = tcp_shutdown,
};
