/* SPDX-License-Identifier: BSD-3-Clause */
/* static_mime.h: the media type of a file by the end of its name. */
#ifndef TINE_HTTP_STATIC_MIME_H
#define TINE_HTTP_STATIC_MIME_H

#include <stdbool.h>

#include "common/span.h"

struct static_mime {
    struct span type;
    bool packed; /* compressed already: there is no .gz beside it */
};

/* Upper and lower case are the same; application/octet-stream when the ending says nothing. */
struct static_mime static_mime_of(struct span path);

#endif
