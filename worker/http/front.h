/* SPDX-License-Identifier: BSD-3-Clause */
/* front.h: what is answered in front of everything else, static files included: http.health_path, [limit], and
 * the redirect to HTTPS, in this order. */
#ifndef TINE_HTTP_FRONT_H
#define TINE_HTTP_FRONT_H

#include <stdbool.h>

struct conf;
struct front;
struct handler;
struct limits;

bool front_is_needed(const struct conf *conf);
/* `inner` answers the rest. limits: NULL: nothing is counted. NULL: out of memory. */
struct front *front_new(const struct conf *conf, struct limits *limits, struct handler *inner);
struct handler *front_handler(struct front *front);
void front_free(struct front *front);

#endif
