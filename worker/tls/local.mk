# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_tls.a
libtine_tls_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(OPENSSL_CFLAGS)
libtine_tls_a_SOURCES = \
	worker/tls/tls.h \
	worker/tls/tls_priv.h \
	worker/tls/tls_bio.c \
	worker/tls/tls_sni.c \
	worker/tls/tls_tickets.c \
	worker/tls/tls_ctx.c \
	worker/tls/tls_cert.c \
	worker/tls/tls_variables.c \
	worker/tls/tls_info.c \
	worker/tls/tls_set.c \
	worker/tls/tls_step.c \
	worker/tls/tls_conn.c \
	worker/tls/tls_hello.c
