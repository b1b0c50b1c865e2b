# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
if HTTP2
noinst_LIBRARIES += libtine_http2.a
libtine_http2_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(NGHTTP2_CFLAGS)
libtine_http2_a_SOURCES = \
	worker/http2/h2_budget.h \
	worker/http2/h2_priv.h \
	worker/http2/h2_walk.h worker/http2/h2_walk.c \
	worker/http2/h2_memory.c \
	worker/http2/h2_abuse.c \
	worker/http2/h2_in.c \
	worker/http2/h2_tunnel.c \
	worker/http2/h2_out.c \
	worker/http2/h2_head.c \
	worker/http2/h2_session.c \
	worker/http2/h2_conn.h worker/http2/h2_conn.c \
	worker/http2/h2_stream.c \
	worker/http2/h2_send.c \
	worker/http2/h2_head_out.c
http2_lib = libtine_http2.a
endif
