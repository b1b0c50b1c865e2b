/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_key.h: the proof that an opening handshake was understood (RFC 6455 4.2.2). */
#ifndef TINE_WS_WS_KEY_H
#define TINE_WS_WS_KEY_H

#include "common/span.h"

#define WS_ACCEPT_LENGTH 28

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key that ws_judge() found good. Not terminated. */
void ws_accept_key(struct span key, char ret[WS_ACCEPT_LENGTH]);

#endif
