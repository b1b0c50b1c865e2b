# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_system.a
libtine_system_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_system_a_SOURCES = \
	master/system/daemon.h master/system/daemon.c \
	master/system/error_log.h master/system/error_log.c \
	master/system/file_watch.h master/system/file_watch.c \
	master/system/notify.h master/system/notify.c \
	master/system/notify_main.h master/system/notify_main.c \
	master/system/pidfile.h master/system/pidfile.c \
	master/system/privs.h master/system/privs.c \
	master/system/state_folder.h master/system/state_folder.c
