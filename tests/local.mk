# SPDX-License-Identifier: BSD-3-Clause
# A server of builtin:hello without master and Python
noinst_PROGRAMS += tests/unit/h1_serve
tests_unit_h1_serve_SOURCES = tests/unit/h1_serve.c
tests_unit_h1_serve_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
tests_unit_h1_serve_LDADD = $(http_libs) $(LIBEVENT_LIBS) $(INIH_LIBS) $(HTTP_PARSER_LIBS) $(COMPRESS_LIBS)

# Connections driven step by step over socket pairs
rig_tests = tests/unit/test_h1_split tests/unit/test_h1_conn tests/unit/test_h1_answer
check_PROGRAMS += $(rig_tests)
UNIT_TESTS += $(rig_tests)
rig_sources = tests/unit/rig.c tests/unit/rig.h tests/unit/unit.h
rig_cppflags = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) -DTESTS_DIR='"$(abs_srcdir)/tests"'
rig_libs = $(http_libs) $(LIBEVENT_LIBS) $(INIH_LIBS) $(HTTP_PARSER_LIBS) $(COMPRESS_LIBS)
asked_sources = tests/unit/asked.c tests/unit/asked.h $(rig_sources)
tests_unit_test_h1_split_SOURCES = tests/unit/test_h1_split.c tests/unit/corpus.c tests/unit/corpus.h $(asked_sources)
tests_unit_test_h1_split_CPPFLAGS = $(rig_cppflags)
tests_unit_test_h1_split_LDADD = $(rig_libs)
scripted_sources = tests/unit/scripted.c tests/unit/scripted.h $(rig_sources)
tests_unit_test_h1_conn_SOURCES = tests/unit/test_h1_conn.c $(scripted_sources)
tests_unit_test_h1_conn_CPPFLAGS = $(rig_cppflags)
tests_unit_test_h1_conn_LDADD = $(rig_libs)
tests_unit_test_h1_answer_SOURCES = tests/unit/test_h1_answer.c $(scripted_sources)
tests_unit_test_h1_answer_CPPFLAGS = $(rig_cppflags)
tests_unit_test_h1_answer_LDADD = $(rig_libs)

# Static files: the pure parts
check_PROGRAMS += tests/unit/test_static
UNIT_TESTS += tests/unit/test_static
tests_unit_test_static_SOURCES = tests/unit/test_static.c tests/unit/unit.h
tests_unit_test_static_LDADD = $(http_libs) $(LIBEVENT_LIBS) $(COMPRESS_LIBS)

# Compression: the codecs, and what fields say
check_PROGRAMS += tests/unit/test_compress
UNIT_TESTS += tests/unit/test_compress
tests_unit_test_compress_SOURCES = tests/unit/test_compress.c tests/unit/unit.h
tests_unit_test_compress_CPPFLAGS = $(AM_CPPFLAGS) $(ZLIB_CFLAGS)
tests_unit_test_compress_LDADD = $(http_libs) $(LIBEVENT_LIBS) $(INIH_LIBS) \
	$(HTTP_PARSER_LIBS) $(COMPRESS_LIBS)

check_PROGRAMS += tests/unit/test_ws_handshake
UNIT_TESTS += tests/unit/test_ws_handshake
tests_unit_test_ws_handshake_SOURCES = tests/unit/test_ws_handshake.c tests/unit/head.h tests/unit/unit.h
tests_unit_test_ws_handshake_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
tests_unit_test_ws_handshake_LDADD = libtine_ws.a $(http_libs) $(LIBEVENT_LIBS) \
	$(INIH_LIBS) $(HTTP_PARSER_LIBS) $(WSLAY_LIBS) $(LWS_LIBS) $(COMPRESS_LIBS)


# HTTP/1: the pure parts
h1_unit_tests = tests/unit/test_h1_corpus \
	tests/unit/test_h1_guard \
	tests/unit/test_h1_parse \
	tests/unit/test_h1_body \
	tests/unit/test_head_rules \
	tests/unit/test_proxy_protocol \
	tests/unit/test_memory \
	tests/unit/test_forwarded \
	tests/unit/test_access_log
check_PROGRAMS += $(h1_unit_tests)
UNIT_TESTS += $(h1_unit_tests)
h1_unit_libs = $(http_libs) $(LIBEVENT_LIBS) $(HTTP_PARSER_LIBS) $(COMPRESS_LIBS)
tests_unit_test_h1_corpus_SOURCES = tests/unit/test_h1_corpus.c tests/unit/corpus.c tests/unit/corpus.h tests/unit/unit.h
tests_unit_test_h1_corpus_CPPFLAGS = $(AM_CPPFLAGS) -DTESTS_DIR='"$(abs_srcdir)/tests"'
tests_unit_test_h1_corpus_LDADD = $(h1_unit_libs)
tests_unit_test_h1_guard_SOURCES = tests/unit/test_h1_guard.c tests/unit/unit.h
tests_unit_test_h1_guard_LDADD = $(h1_unit_libs)
tests_unit_test_h1_parse_SOURCES = tests/unit/test_h1_parse.c tests/unit/head.h tests/unit/unit.h
tests_unit_test_h1_parse_LDADD = $(h1_unit_libs)
tests_unit_test_h1_body_SOURCES = tests/unit/test_h1_body.c tests/unit/unit.h
tests_unit_test_h1_body_LDADD = $(h1_unit_libs)
tests_unit_test_head_rules_SOURCES = tests/unit/test_head_rules.c tests/unit/head.h tests/unit/unit.h
tests_unit_test_head_rules_LDADD = $(h1_unit_libs)
tests_unit_test_proxy_protocol_SOURCES = tests/unit/test_proxy_protocol.c tests/unit/unit.h
tests_unit_test_proxy_protocol_LDADD = $(h1_unit_libs)
tests_unit_test_memory_SOURCES = tests/unit/test_memory.c tests/unit/unit.h
tests_unit_test_memory_LDADD = $(h1_unit_libs)
tests_unit_test_forwarded_SOURCES = tests/unit/test_forwarded.c tests/unit/head.h tests/unit/unit.h
tests_unit_test_forwarded_LDADD = $(h1_unit_libs)
tests_unit_test_access_log_SOURCES = tests/unit/test_access_log.c tests/unit/head.h tests/unit/unit.h
tests_unit_test_access_log_LDADD = $(h1_unit_libs)

# Connections: the pure parts
check_PROGRAMS += tests/unit/test_wsgi_frames
UNIT_TESTS += tests/unit/test_wsgi_frames
tests_unit_test_wsgi_frames_SOURCES = tests/unit/test_wsgi_frames.c tests/unit/unit.h worker/wsgi/wsgi_frames.h

check_PROGRAMS += tests/unit/test_pace
UNIT_TESTS += tests/unit/test_pace
tests_unit_test_pace_SOURCES = tests/unit/test_pace.c tests/unit/unit.h worker/net/pace.h worker/net/pace.c
tests_unit_test_pace_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)

# HTTP/2: the pure parts
h2_unit_tests = tests/unit/test_h2_walk
check_PROGRAMS += $(h2_unit_tests)
UNIT_TESTS += $(h2_unit_tests)
tests_unit_test_h2_walk_SOURCES = tests/unit/test_h2_walk.c tests/unit/unit.h \
	worker/http2/h2_walk.h worker/http2/h2_walk.c worker/http2/h2_budget.h

# WebSocket
ws_unit_tests = tests/unit/test_ws_deflate
check_PROGRAMS += $(ws_unit_tests)
UNIT_TESTS += $(ws_unit_tests)
tests_unit_test_ws_deflate_SOURCES = tests/unit/test_ws_deflate.c tests/unit/unit.h \
	worker/ws/ws_deflate.h worker/ws/ws_deflate.c worker/ws/ws_deflate_offer.c
tests_unit_test_ws_deflate_CPPFLAGS = $(AM_CPPFLAGS) $(ZLIB_CFLAGS)
tests_unit_test_ws_deflate_LDADD = libtine_common.a $(ZLIB_LIBS)

# Stacks: the pure part
check_PROGRAMS += tests/unit/test_snapshot
UNIT_TESTS += tests/unit/test_snapshot
tests_unit_test_snapshot_SOURCES = tests/unit/test_snapshot.c tests/unit/unit.h worker/python/snapshot.h worker/python/snapshot.c

# Python: runs the scripts of tests/python
if LIBPYTHON
check_PROGRAMS += tests/unit/pyhost
tests_unit_pyhost_SOURCES = tests/unit/pyhost.c tests/python/tine_test.h tests/python/tine_test.c $(coverage_sources)
tests_unit_pyhost_LDFLAGS = $(AM_LDFLAGS) $(coverage_ldflags)
tests_unit_pyhost_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS) $(LIBEVENT_CFLAGS)
tests_unit_pyhost_LDADD = libtine_python.a libtine_conf.a libtine_common.a $(PYTHON_LIBS) $(LIBEVENT_LIBS) -lpthread
endif

# Configuration
conf_unit_tests = tests/unit/test_conf_types tests/unit/test_conf_load tests/unit/test_conf_pack tests/unit/test_log_format
check_PROGRAMS += $(conf_unit_tests)
UNIT_TESTS += $(conf_unit_tests)
conf_unit_libs = libtine_conf.a libtine_common.a $(INIH_LIBS)
tests_unit_test_conf_types_SOURCES = tests/unit/test_conf_types.c tests/unit/unit.h
tests_unit_test_conf_types_LDADD = $(conf_unit_libs)
tests_unit_test_conf_load_SOURCES = tests/unit/test_conf_load.c tests/unit/unit.h
tests_unit_test_conf_load_LDADD = $(conf_unit_libs)
tests_unit_test_conf_pack_SOURCES = tests/unit/test_conf_pack.c tests/unit/unit.h
tests_unit_test_conf_pack_LDADD = $(conf_unit_libs)
tests_unit_test_log_format_SOURCES = tests/unit/test_log_format.c tests/unit/unit.h
tests_unit_test_log_format_LDADD = $(conf_unit_libs)

# Calls that fail on demand: tests/faults
if FAULT_INJECTION
fault_sources = tests/faults/inject.c tests/faults/inject.h tests/faults/python.h
fault_cppflags = -include $(srcdir)/tests/faults/python.h
fault_ldflags = -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=reallocarray \
	-Wl,--wrap=strdup -Wl,--wrap=strndup -Wl,--wrap=PyMem_RawMalloc -Wl,--wrap=PyMem_RawCalloc \
	-Wl,--wrap=PyMem_RawRealloc -Wl,--wrap=PyMem_Malloc -Wl,--wrap=event_new -Wl,--wrap=event_add \
	-Wl,--wrap=accept4 -Wl,--wrap=fork -Wl,--wrap=read -Wl,--wrap=recv -Wl,--wrap=recvmsg -Wl,--wrap=pread \
	-Wl,--wrap=write -Wl,--wrap=send -Wl,--wrap=sendmsg -Wl,--wrap=sendfile -Wl,--wrap=socket \
	-Wl,--wrap=socketpair -Wl,--wrap=pipe2 -Wl,--wrap=eventfd -Wl,--wrap=timerfd_create -Wl,--wrap=open
endif

# Which lines were run: .ci/tools/coverage.py
if COVERAGE
coverage_sources = .ci/tools/coverage_exit.c
coverage_ldflags = -Wl,--wrap=_exit
endif

# make bench BENCH_ARGS='--rounds 5 --venv DIR': Tine beside its peers; measures, passes no verdict.
# --interface websocket has its own load generator.
EXTRA_PROGRAMS = tests/bench/wsload
CLEANFILES += tests/bench/wsload$(EXEEXT)
tests_bench_wsload_SOURCES = tests/bench/wsload.c
tests_bench_wsload_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(ZLIB_CFLAGS)
tests_bench_wsload_LDADD = $(LIBEVENT_LIBS) $(ZLIB_LIBS)
.PHONY: bench
bench: all tests/bench/wsload
	$(PYTHON3) $(srcdir)/tests/bench/bench.py --tine ./tine $(BENCH_ARGS)

# make bench-real BENCH_ARGS='--venv DIR --before OTHER/tine': the same on real applications (tests/bench/real_apps).
.PHONY: bench-real
bench-real: all tests/bench/wsload
	$(PYTHON3) $(srcdir)/tests/bench/real.py --tine ./tine $(BENCH_ARGS)

# make bench-attacks BENCH_ARGS='--venv DIR': idle, slow and hostile clients in their thousands.
.PHONY: bench-attacks
bench-attacks: all
	$(PYTHON3) $(srcdir)/tests/bench/attacks.py --tine ./tine $(BENCH_ARGS)

# make bench-loop BENCH_ARGS='--venv DIR': applications' own connections on Tine's loop, uvloop and asyncio.
.PHONY: bench-loop
bench-loop: all
	$(PYTHON3) $(srcdir)/tests/bench/loop_io.py --tine ./tine $(BENCH_ARGS)

# make package-table TABLE_ARGS='PYTHON ...': packages of PyPI in sub-interpreters, by version of CPython; writes
# tests/matrix/package_table.txt.
.PHONY: package-table
package-table: all
	TINE_BINARY=$(abs_builddir)/tine $(PYTHON3) $(srcdir)/tests/matrix/package_table.py $(TABLE_ARGS)

# make soak SOAK_ARGS='--seconds 1800 --seed 1'
.PHONY: soak
soak: all
	$(PYTHON3) $(srcdir)/tests/soak/soak.py --tine ./tine $(SOAK_ARGS)
