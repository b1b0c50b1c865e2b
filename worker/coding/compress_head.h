/* SPDX-License-Identifier: BSD-3-Clause */
/* compress_head.h: what the fields of an answer say about compressing it, and what they become. */
#ifndef TINE_HTTP_COMPRESS_HEAD_H
#define TINE_HTTP_COMPRESS_HEAD_H

#include <stdbool.h>

#include "worker/http/resp.h"

struct compress_facts {
    struct span type; /* Content-Type; p = NULL: none */
    struct span etag; /* p = NULL: none */
    size_t vary;      /* index of the first Vary; n_fields: none */
    bool varies;      /* Vary covers Accept-Encoding */
    bool fixed;       /* the bytes must stay: coded already, no-transform, or a digest of them is there */
    bool ranged;      /* Content-Range is there: they must stay as well */
};

struct compress_facts compress_read_head(const struct resp_head *head);

/* A head of the same answer with other fields, for fn: `name` is the content coding, "" for none. `weak`: the ETag
 * becomes weak. Vary gets Accept-Encoding. */
enum resp_result compress_edit_head(const struct resp_head *head, const struct compress_facts *facts,
                                    struct span coding, bool weak, struct req *r,
                                    enum resp_result (*fn)(struct req *r, const struct resp_head *head));

/* A digest of bytes that compression changes (RFC 9530, RFC 3230, RFC 1864). */
bool compress_is_digest(struct span name);

#endif
