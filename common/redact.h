/* SPDX-License-Identifier: BSD-3-Clause */
/* redact.h: hides secrets of query strings from people who read logs and pages (log.redact). Pure. */
#ifndef TINE_COMMON_REDACT_H
#define TINE_COMMON_REDACT_H

#include <stddef.h>

#include "common/span.h"

/* Copies text that has a target in it ("/path?query", "GET /path?query HTTP/1.1"), with the values of these parameters as "***".
 * Names are compared as decoded, without regard to case; "*" is each, "none" is nothing. Cut at size, not terminated; the
 * bytes written. */
size_t redact(char *to, size_t size, struct span text, char *const *names, size_t n_names);

#endif
