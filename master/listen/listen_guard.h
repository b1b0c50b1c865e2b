/* SPDX-License-Identifier: BSD-3-Clause */
/* listen_guard.h: whether the file of a Unix socket keeps strangers out, so that whoever connects was let in by the
 * administrator: a proxy, whose word about its clients can be taken. */
#ifndef TINE_MASTER_LISTEN_GUARD_H
#define TINE_MASTER_LISTEN_GUARD_H

#include <stdbool.h>

/* The socket, or a folder on the way to it, must be closed to others (connect(2) needs the right to write to the socket, and to
 * search each folder), and its group, if that is let in, must be one that was chosen: not the group that the owner of the file
 * has anyway, unless no one else has that (a group of the owner's name or number, or root's). As it is now: of a file whose
 * rights change later, the next reload knows. A name of the abstract name space has no guard. */
bool listen_is_guarded(const char *path);

#endif
