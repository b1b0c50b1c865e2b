/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_file.h: wsgi.file_wrapper: an iterator over a file's blocks, which the server sends by sendfile(2) instead when
 * it wraps a real file that has not been read from through it. */
#ifndef TINE_WSGI_WSGI_FILE_H
#define TINE_WSGI_WSGI_FILE_H

#include <Python.h>
#include <sys/types.h>

struct wsgi;

/* Makes the type. 0 or -1 with an exception set. */
int wsgi_file_init(struct wsgi *wsgi);

/* 1: `object` is such a wrapper; *ret_fd is a descriptor of the caller's for its file, to be sent from *ret_at to
 * *ret_at + *ret_n. 0: it has to be iterated. -1: exception set. */
int wsgi_file_real(struct wsgi *wsgi, PyObject *object, int *ret_fd, off_t *ret_at, size_t *ret_n);

#endif
