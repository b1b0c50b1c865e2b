/* SPDX-License-Identifier: BSD-3-Clause */
/* ipc.h: messages between master and worker over a SOCK_SEQPACKET pair: one message a packet, never torn, EOF when the
 * other side is gone. Both ends are non-blocking. */
#ifndef TINE_COMMON_IPC_H
#define TINE_COMMON_IPC_H

#include <stddef.h>
#include <stdint.h>

enum ipc_type {
#define IPC_MSG(name, direction, payload) IPC_##name,
#include "common/ipc_msgs.def"
    IPC_N_TYPES
};

#define IPC_MAX_PAYLOAD 65536

/* Orders to a mold are answered one by one. */
struct ipc_fork {
    uint32_t order;
    uint32_t slot; /* index into the scoreboard */
};

struct ipc_forked {
    uint32_t order;
    int32_t pid; /* of the worker; -errno: there is none */
};

/* Functions of app.hooks. The last two are called on the master's order. */
enum ipc_hook_name {
    IPC_HOOK_POST_FORK,
    IPC_HOOK_WHEN_READY,
    IPC_HOOK_WORKER_EXIT,
    IPC_HOOK_CHILD_EXIT,
    IPC_HOOK_ON_RELOAD,
};

struct ipc_hook {
    uint32_t name; /* enum ipc_hook_name */
    uint32_t number; /* of the worker that it is about */
    int32_t pid;
};

struct ipc_msg {
    enum ipc_type type;
    size_t n;
    char payload[IPC_MAX_PAYLOAD + 1]; /* NUL after the last byte */
};

/* fds[0] for the master, fds[1] for the worker; non-blocking, close-on-exec. 0, or -1 with errno. */
int ipc_pair(int fds[2]) __attribute__((warn_unused_result));
/* Longer payloads are cut at IPC_MAX_PAYLOAD, at the front (the end of a traceback says most).
 * 0, or -1 with errno (EAGAIN: the other side does not read; EPIPE: it is gone). */
int ipc_send(int fd, enum ipc_type type, const void *payload, size_t n);
/* The same with two descriptors, or with one (the second is -1), which stay open here. */
int ipc_send_with_fds(int fd, enum ipc_type type, const void *payload, size_t n, const int fds[2]);
/* 1: a message; 0: nothing to read now; -1: the other side is gone or broken. */
int ipc_recv(int fd, struct ipc_msg *ret_msg) __attribute__((warn_unused_result));
/* The same; fds: up to two that came with it, close-on-exec, the caller's, or -1, whatever it returns. */
int ipc_recv_with_fds(int fd, struct ipc_msg *ret_msg, int fds[2]) __attribute__((warn_unused_result));
const char *ipc_name(enum ipc_type type);

#endif
