# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_asgi.a
libtine_asgi_a_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS) $(LIBEVENT_CFLAGS) $(fault_cppflags)
libtine_asgi_a_SOURCES = \
	worker/asgi/asgi_names.def \
	worker/asgi/asgi_state.h \
	worker/asgi/asgi2.h worker/asgi/asgi2.c \
	worker/asgi/asgi_channel.h worker/asgi/asgi_channel.c \
	worker/asgi/asgi_fields.h worker/asgi/asgi_fields.c \
	worker/asgi/asgi_pairs.h worker/asgi/asgi_pairs.c \
	worker/asgi/asgi_report.h worker/asgi/asgi_report.c \
	worker/asgi/asgi_tls.h worker/asgi/asgi_tls.c \
	worker/asgi/asgi_lifespan.h worker/asgi/asgi_lifespan.c \
	worker/asgi/asgi_offer.h worker/asgi/asgi_offer.c \
	worker/asgi/asgi_scope.h worker/asgi/asgi_scope.c \
	worker/asgi/asgi_ws_priv.h worker/asgi/asgi_ws_queue.c \
	worker/asgi/asgi_ws_send.c \
	worker/asgi/asgi_ws.h worker/asgi/asgi_ws.c \
	worker/asgi/asgi_exchange.h worker/asgi/asgi_exchange.c \
	worker/asgi/asgi_drain.h worker/asgi/asgi_drain.c \
	worker/asgi/asgi_ext.h worker/asgi/asgi_ext.c \
	worker/asgi/asgi_http.h worker/asgi/asgi_http.c \
	worker/asgi/asgi.h worker/asgi/asgi.c
