/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll_of.h: the epoll descriptor of an event base, which libevent does not tell: found by what the kernel says of a
 * descriptor that it watches, so nothing is believed about libevent. */
#ifndef TINE_COMMON_EPOLL_OF_H
#define TINE_COMMON_EPOLL_OF_H

#include <stdint.h>

/* The epoll descriptor of this process that watches `fd`, whose event has been added; *ret_data: what is registered with it.
 * -1: none, or /proc cannot be read. */
int epoll_of(int fd, uint64_t *ret_data);

#endif
