/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_sha1.h: SHA-1 (RFC 3174) of a short text, for Sec-WebSocket-Accept alone: the opening handshake has it to show that
 * the server understood, not to protect anything. Not for any other use. */
#ifndef TINE_WS_WS_SHA1_H
#define TINE_WS_WS_SHA1_H

#include <stdint.h>

#include "common/span.h"

#define WS_SHA1_SIZE 20

void ws_sha1(struct span text, uint8_t ret[WS_SHA1_SIZE]);

#endif
