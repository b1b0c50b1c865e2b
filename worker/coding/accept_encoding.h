/* SPDX-License-Identifier: BSD-3-Clause */
/* accept_encoding.h: which content coding an answer gets (RFC 9110 12.5.3). */
#ifndef TINE_HTTP_ACCEPT_ENCODING_H
#define TINE_HTTP_ACCEPT_ENCODING_H

#include <stdbool.h>

struct req;

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_BR, CODING_ZSTD, N_CODINGS };

/* Name in Accept-Encoding and Content-Encoding; "" for identity. */
const char *coding_name(enum coding c);

/* Weights in thousandths; 0: not acceptable. */
struct accept_encoding {
    unsigned short weight[N_CODINGS];
};

/* Without the field only identity is wanted. An element that is not well-formed counts for nothing. */
struct accept_encoding accept_encoding_of(const struct req *r);

#endif
