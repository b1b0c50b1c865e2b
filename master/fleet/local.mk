# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_fleet.a
libtine_fleet_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_fleet_a_SOURCES = \
	master/fleet/tally.h \
	master/fleet/mold.h master/fleet/mold.c \
	master/fleet/slots.h master/fleet/slots.c \
	master/fleet/stacks.h master/fleet/stacks.c \
	master/fleet/reap.h master/fleet/reap.c \
	master/fleet/recycle.h master/fleet/recycle.c \
	master/fleet/seats.h master/fleet/seats.c \
	master/fleet/spawn.h master/fleet/spawn.c \
	master/fleet/workers.h master/fleet/workers.c \
	master/fleet/certs.h master/fleet/certs.c \
	master/fleet/generation.h master/fleet/generation.c \
	master/fleet/nudge.h master/fleet/nudge.c \
	master/fleet/watchdog.h master/fleet/watchdog.c
