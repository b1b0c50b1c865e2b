# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_log.a
libtine_log_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_log_a_SOURCES = \
	worker/log/basic_user.h worker/log/basic_user.c \
	worker/log/access_time.c \
	worker/log/access_line.h worker/log/access_line.c \
	worker/log/log_daemon.h worker/log/log_daemon.c \
	worker/log/access_log.h worker/log/access_log.c \
	worker/log/account.h worker/log/account.c
