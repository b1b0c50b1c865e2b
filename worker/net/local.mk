# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_net.a
libtine_net_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_net_a_SOURCES = \
	worker/net/conn_priv.h \
	worker/net/proto.h \
	worker/net/sent.h \
	worker/net/transport.h \
	worker/net/transport_io.h \
	worker/net/deadline.h worker/net/deadline.c \
	worker/net/pace.h worker/net/pace.c \
	worker/net/memory.h worker/net/memory.c \
	worker/net/conn_memory.c \
	worker/net/exclusive.h worker/net/exclusive.c \
	worker/net/proxy_protocol.h worker/net/proxy_protocol.c \
	worker/net/share.h worker/net/share.c \
	worker/net/tcp.c \
	worker/net/conn_limit.h worker/net/conn_limit.c \
	worker/net/conn_too_slow.c \
	worker/net/conn_out.c \
	worker/net/conn.h worker/net/conn.c \
	worker/net/conn_in.c \
	worker/net/accept.h worker/net/accept.c \
	worker/net/hearing.h worker/net/hearing.c \
	worker/net/proxy_step.h worker/net/proxy_step.c
