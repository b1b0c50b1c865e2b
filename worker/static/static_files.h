/* SPDX-License-Identifier: BSD-3-Clause */
/* static_files.h: [static:/prefix]: a handler that answers with files below a folder, without Python. */
#ifndef TINE_HTTP_STATIC_FILES_H
#define TINE_HTTP_STATIC_FILES_H

struct conf_static;
struct handler;

/* `conf` must outlive it, and so must `folder`, a descriptor of the folder where a relative `dir` begins. NULL with errno:
 * the folder of the files cannot be opened, or memory is short. */
struct handler *static_files_new(const struct conf_static *conf, int folder);
void static_files_free(struct handler *h);

#endif
