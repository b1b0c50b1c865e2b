/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_ipc.c: packets of any bytes on the channel between master and worker, each behind its length. A packet is one
 * message or the end of the channel, never more and never a part; what is sent arrives as it was. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ipc.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_corpora[] = { NULL };

static struct ipc_msg msg;

static void receive(int from, int to, struct span packet)
{
    MUST(send(from, packet.p, packet.n, 0) == (ssize_t)packet.n);
    int fds[2], result = packet.n % 2 ? ipc_recv(to, &msg) : ipc_recv_with_fds(to, &msg, fds);
    bool known = packet.n && (unsigned char)packet.p[0] < IPC_N_TYPES;
    MUST(result == (known ? 1 : -1));
    if (known) {
        MUST(msg.type == (enum ipc_type)packet.p[0] && msg.n == packet.n - 1 &&
             !memcmp(msg.payload, packet.p + 1, msg.n));
        MUST(msg.payload[msg.n] == '\0' && *ipc_name(msg.type) != '?');
    }
    MUST(packet.n % 2 || (fds[0] == -1 && fds[1] == -1));
    MUST(!packet.n || ipc_recv(to, &msg) == 0);
}

static void pass_on(int from, int to, struct span payload)
{
    enum ipc_type type = (enum ipc_type)(payload.n % IPC_N_TYPES);
    int two[2] = { STDOUT_FILENO, STDERR_FILENO }, fds[2];
    MUST(ipc_send(from, type, payload.p, payload.n) == 0);
    MUST(ipc_recv(to, &msg) == 1 && msg.type == type && msg.n == payload.n && !memcmp(msg.payload, payload.p, msg.n));
    MUST(ipc_send_with_fds(from, type, payload.p, payload.n, two) == 0);
    MUST(ipc_recv_with_fds(to, &msg, fds) == 1 && msg.n == payload.n && fds[0] > 2 && fds[1] > 2);
    close(fds[0]);
    close(fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    MUST(ipc_pair(fds) == 0);
    while (size) {
        struct span packet = fuzz_take(&data, &size);
        receive(fds[0], fds[1], packet);
        pass_on(fds[1], fds[0], packet);
    }
    close(fds[0]);
    MUST(ipc_recv(fds[1], &msg) == -1);
    close(fds[1]);
    return 0;
}
