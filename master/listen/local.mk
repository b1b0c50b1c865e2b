# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_listen.a
libtine_listen_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_listen_a_SOURCES = \
	master/listen/busy.h master/listen/busy.c \
	master/listen/listen_guard.h master/listen/listen_guard.c \
	master/listen/listeners.h master/listen/listeners.c \
	master/listen/listen.h master/listen/listen_priv.h \
	master/listen/listen_unix.c \
	master/listen/listen_passed.c \
	master/listen/listen_seats.c \
	master/listen/listen.c \
	master/listen/listen_handed.c
