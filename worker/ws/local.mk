# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_ws.a
libtine_ws_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(ZLIB_CFLAGS) $(LWS_CFLAGS)
libtine_ws_a_SOURCES = \
	worker/ws/ws.h \
	worker/ws/ws_key.h \
	worker/ws/ws_engine.h \
	worker/ws/ws_sha1.h worker/ws/ws_sha1.c \
	worker/ws/ws_handshake.c \
	worker/ws/ws_utf8.h worker/ws/ws_utf8.c \
	worker/ws/ws_deflate.h worker/ws/ws_deflate.c \
	worker/ws/ws_deflate_offer.c \
	worker/ws/ws_session_priv.h worker/ws/ws_session.c \
	worker/ws/ws_message.c \
	worker/ws/ws_wslay.c
if LIBWEBSOCKETS
libtine_ws_a_SOURCES += \
	worker/ws/ws_lws_priv.h \
	worker/ws/ws_lws_lane.c \
	worker/ws/ws_lws_wsi.c \
	worker/ws/ws_lws_out.c \
	worker/ws/ws_lws_adopt.c \
	worker/ws/ws_lws_loop.c \
	worker/ws/ws_lws.c
endif
libtine_ws_a_SOURCES += \
	worker/ws/ws_worker.h worker/ws/ws_worker.c \
	worker/ws/ws_accept.c
