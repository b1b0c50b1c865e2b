/* SPDX-License-Identifier: BSD-3-Clause */
/* proxy_protocol.h: parser of the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt). Pure. */
#ifndef TINE_NET_PROXY_PROTOCOL_H
#define TINE_NET_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct proxy_header {
    bool local;                 /* LOCAL or UNKNOWN: keep the connection's own addresses */
    struct sockaddr_storage src, dst;
};

/* >0: bytes of a complete header, *ret filled; 0: needs more (at most 536 bytes; longer v2 TLVs: at most 4096);
 * -1: not a PROXY header, close. */
ssize_t proxy_protocol_parse(const char *p, size_t n, struct proxy_header *ret);

#endif
