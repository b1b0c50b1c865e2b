# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_fleet.a
libtine_fleet_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_fleet_a_SOURCES = \
	master/fleet/counters.h \
	master/fleet/certs.h master/fleet/certs.c \
	master/fleet/verdict.h master/fleet/verdict.c \
	master/fleet/verdicts.h master/fleet/verdicts.c \
	master/fleet/generation.h master/fleet/generation.c \
	master/fleet/hosting.h master/fleet/hosting.c \
	master/fleet/slots.h master/fleet/slots.c \
	master/fleet/exit_words.h master/fleet/exit_words.c \
	master/fleet/stacks.h master/fleet/stacks.c \
	master/fleet/seats.h master/fleet/seats.c \
	master/fleet/spawn.h master/fleet/spawn.c \
	master/fleet/mold.h master/fleet/mold.c \
	master/fleet/roll.h master/fleet/roll.c \
	master/fleet/births.h master/fleet/births.c \
	master/fleet/experience.h master/fleet/experience.c \
	master/fleet/told.h master/fleet/told.c \
	master/fleet/workers_tell.c \
	master/fleet/workers.h master/fleet/workers.c \
	master/fleet/roll_step.c \
	master/fleet/recycle.h master/fleet/recycle.c \
	master/fleet/watchdog.h master/fleet/watchdog.c \
	master/fleet/accept_safety_net.h master/fleet/accept_safety_net.c \
	master/fleet/fleet.h master/fleet/fleet.c

check_PROGRAMS += tests/unit/test_slots
UNIT_TESTS += tests/unit/test_slots
tests_unit_test_slots_SOURCES = tests/unit/test_slots.c tests/unit/unit.h
tests_unit_test_slots_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
tests_unit_test_slots_LDADD = libtine_fleet.a libtine_listen.a libtine_system.a libtine_conf.a libtine_common.a $(LIBEVENT_LIBS)

check_PROGRAMS += tests/unit/test_verdict
UNIT_TESTS += tests/unit/test_verdict
tests_unit_test_verdict_SOURCES = tests/unit/test_verdict.c tests/unit/unit.h
tests_unit_test_verdict_LDADD = libtine_fleet.a libtine_common.a
