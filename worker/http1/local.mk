# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_http1.a
libtine_http1_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_http1_a_SOURCES = \
	worker/http1/h1_priv.h \
	worker/http1/h1_guard.h worker/http1/h1_guard.c \
	worker/http1/h1_head_out.h worker/http1/h1_head_out.c \
	worker/http1/h1_parse.h worker/http1/h1_parse.c \
	worker/http1/h1_body.h worker/http1/h1_body.c \
	worker/http1/h1_upgrade.c \
	worker/http1/h1_out.c \
	worker/http1/h1_head.c \
	worker/http1/h1_conn.h worker/http1/h1_conn.c \
	worker/http1/h1_in.c
