/* SPDX-License-Identifier: BSD-3-Clause */
/* own_fields.h: which fields of an answer are the server's own business, in HTTP/1 and HTTP/2 alike. */
#ifndef TINE_HTTP_OWN_FIELDS_H
#define TINE_HTTP_OWN_FIELDS_H

#include "common/span.h"

enum own_field {
    OWN_NONE,
    OWN_CONNECTION,
    OWN_CONTENT_LENGTH,
    OWN_DATE,
    OWN_SERVER,
    OWN_UPGRADE,
    OWN_HOP_BY_HOP, /* never sent on (RFC 9110 7.6.1) */
};

/* The name in any case. */
static inline enum own_field own_field_of(struct span name)
{
    switch (name.n) {
    case 2:
        return span_ieq(name, SPAN("te")) ? OWN_HOP_BY_HOP : OWN_NONE;
    case 4:
        return span_ieq(name, SPAN("date")) ? OWN_DATE : OWN_NONE;
    case 6:
        return span_ieq(name, SPAN("server")) ? OWN_SERVER : OWN_NONE;
    case 7:
        return span_ieq(name, SPAN("upgrade")) ? OWN_UPGRADE : OWN_NONE;
    case 10:
        return span_ieq(name, SPAN("connection"))   ? OWN_CONNECTION
               : span_ieq(name, SPAN("keep-alive")) ? OWN_HOP_BY_HOP
                                                    : OWN_NONE;
    case 14:
        return span_ieq(name, SPAN("content-length")) ? OWN_CONTENT_LENGTH : OWN_NONE;
    case 16:
        return span_ieq(name, SPAN("proxy-connection")) ? OWN_HOP_BY_HOP : OWN_NONE;
    case 17:
        return span_ieq(name, SPAN("transfer-encoding")) ? OWN_HOP_BY_HOP : OWN_NONE;
    default:
        return OWN_NONE;
    }
}

#endif
