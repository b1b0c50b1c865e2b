# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libtine_common.a
libtine_common_a_SOURCES = \
	common/heritage.h \
	common/least.h \
	common/likely.h \
	common/plural.h \
	common/span.h \
	common/stop_signals.h \
	common/utf8.h \
	common/ipc_msgs.def \
	common/score_figures.def \
	common/version.h common/version.c \
	common/trim.h common/trim.c \
	common/why.h common/why.c \
	common/exec_guard.h common/exec_guard.c \
	common/buf.h common/buf.c \
	common/clock.h common/clock.c \
	common/timers.h common/timers.c \
	common/epoll_of.h common/epoll_of.c \
	common/forked.h common/forked.c \
	common/fdutil.h common/fdutil.c \
	common/trusted.h common/trusted.c \
	common/machine.h common/machine.c \
	common/redact.h common/redact.c \
	common/json_out.h common/json_out.c \
	common/log_line.h common/log_line.c \
	common/log_journal.h common/log_journal.c \
	common/log_syslog.h common/log_syslog.c \
	common/log_time.c \
	common/log.h common/log.c \
	common/fatal.h common/fatal.c \
	common/descriptors.h common/descriptors.c \
	common/ipc.h common/ipc.c \
	common/proctitle.h common/proctitle.c \
	common/shared.h common/shared.c \
	common/histogram.h common/histogram.c \
	common/exemplar.h common/exemplar.c \
	common/scoreboard.h common/scoreboard.c \
	common/limits.h common/limits.c \
	common/suggest.h common/suggest.c \
	common/tickets.h common/tickets.c \
	common/vault.h common/vault.c

check_PROGRAMS += tests/unit/test_common
UNIT_TESTS += tests/unit/test_common
tests_unit_test_common_SOURCES = tests/unit/test_common.c tests/unit/unit.h
tests_unit_test_common_LDADD = libtine_common.a

check_PROGRAMS += tests/unit/test_forked
UNIT_TESTS += tests/unit/test_forked
tests_unit_test_forked_SOURCES = tests/unit/test_forked.c tests/unit/unit.h
tests_unit_test_forked_LDADD = libtine_common.a

check_PROGRAMS += tests/unit/test_json_out
UNIT_TESTS += tests/unit/test_json_out
tests_unit_test_json_out_SOURCES = tests/unit/test_json_out.c tests/unit/unit.h
tests_unit_test_json_out_LDADD = libtine_common.a
check_PROGRAMS += tests/unit/test_histogram
UNIT_TESTS += tests/unit/test_histogram
tests_unit_test_histogram_SOURCES = tests/unit/test_histogram.c tests/unit/unit.h
tests_unit_test_histogram_LDADD = libtine_common.a

check_PROGRAMS += tests/unit/test_machine
UNIT_TESTS += tests/unit/test_machine
tests_unit_test_machine_SOURCES = tests/unit/test_machine.c tests/unit/unit.h
tests_unit_test_machine_LDADD = libtine_common.a

check_PROGRAMS += tests/unit/test_redact
UNIT_TESTS += tests/unit/test_redact
tests_unit_test_redact_SOURCES = tests/unit/test_redact.c tests/unit/unit.h
tests_unit_test_redact_LDADD = libtine_common.a

check_PROGRAMS += tests/unit/test_trusted
UNIT_TESTS += tests/unit/test_trusted
tests_unit_test_trusted_SOURCES = tests/unit/test_trusted.c tests/unit/unit.h
tests_unit_test_trusted_LDADD = libtine_common.a

check_PROGRAMS += tests/unit/test_limits
UNIT_TESTS += tests/unit/test_limits
tests_unit_test_limits_SOURCES = tests/unit/test_limits.c tests/unit/unit.h
tests_unit_test_limits_LDADD = libtine_common.a

check_PROGRAMS += tests/unit/test_tls_vault
UNIT_TESTS += tests/unit/test_tls_vault
tests_unit_test_tls_vault_SOURCES = tests/unit/test_tls_vault.c tests/unit/unit.h
tests_unit_test_tls_vault_LDADD = libtine_common.a

check_PROGRAMS += tests/unit/test_descriptors
UNIT_TESTS += tests/unit/test_descriptors
tests_unit_test_descriptors_SOURCES = tests/unit/test_descriptors.c tests/unit/unit.h
tests_unit_test_descriptors_LDADD = libtine_common.a
