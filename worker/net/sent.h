/* SPDX-License-Identifier: BSD-3-Clause */
/* sent.h: what became of bytes that were given away to be sent: the same result for connections, WebSocket sessions
 * and, where nothing else went wrong, responses (resp_result). */
#ifndef TINE_NET_SENT_H
#define TINE_NET_SENT_H

enum sent {
    SENT, /* taken; continue */
    LATER, /* taken, but the receiver is slow: wait for on_drained, or for the end */
    GONE, /* nothing was taken: it has ended, or is about to, and the callback that says so was or will be called */
};

#endif
