/* SPDX-License-Identifier: BSD-3-Clause */
/* static_files.h: [static:/prefix]: a handler that answers with files below a folder, without Python. */
#ifndef TINE_HTTP_STATIC_FILES_H
#define TINE_HTTP_STATIC_FILES_H

struct conf_static;
struct handler;

/* `conf` must outlive it. NULL with errno: the folder cannot be opened, or memory is short. */
struct handler *static_files_new(const struct conf_static *conf);
void static_files_free(struct handler *h);

#endif
