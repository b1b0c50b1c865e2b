# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_static.a
libtine_static_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_static_a_SOURCES = \
	worker/static/static_cond.h worker/static/static_cond.c \
	worker/static/static_mime.h worker/static/static_mime.c \
	worker/static/static_open_walk.h worker/static/static_open_walk.c \
	worker/static/static_open.h worker/static/static_open.c \
	worker/static/static_range.h worker/static/static_range.c \
	worker/static/static_send.h worker/static/static_send.c \
	worker/static/static_answer.h worker/static/static_answer.c \
	worker/static/static_files.h worker/static/static_files.c
