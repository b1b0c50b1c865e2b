/* SPDX-License-Identifier: BSD-3-Clause */
/* basic_user.h: the user of Basic credentials (RFC 7617), and never the password. */
#ifndef TINE_LOG_BASIC_USER_H
#define TINE_LOG_BASIC_USER_H

#include <stddef.h>

#include "common/span.h"

/* Decodes base64 up to the first ":" or `size` bytes. What follows is the password and must not be kept anywhere. The bytes of
 * the user; 0: none, or no such credentials. */
size_t basic_user(struct span s, char *ret, size_t size);

#endif
