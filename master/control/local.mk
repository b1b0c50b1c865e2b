# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_control.a
libtine_control_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_control_a_SOURCES = \
	master/control/control_commands.def \
	master/control/control_parse.h master/control/control_parse.c \
	master/control/control.h master/control/control_priv.h \
	master/control/control_answer.c \
	master/control/control_stacks.c \
	master/control/control_client.c \
	master/control/control_commands.c \
	master/control/control.c
