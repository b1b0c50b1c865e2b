# SPDX-License-Identifier: BSD-3-Clause
# Fuzz targets: one function over any bytes for each parser and decoder. `make check` replays corpora, seeds and kept cases
# through replay.c; configured with --enable-fuzzing they are libFuzzer's, for `make fuzz FUZZ_SECONDS=60`. A new target is a
# name in this list, its three lines below, and lines in seeds/NAME or a corpus that its source names.
fuzz_targets = tests/fuzz/fuzz_head tests/fuzz/fuzz_body tests/fuzz/fuzz_proxy tests/fuzz/fuzz_forwarded \
	tests/fuzz/fuzz_ws_frames tests/fuzz/fuzz_ws_handshake tests/fuzz/fuzz_ws_deflate tests/fuzz/fuzz_control \
	tests/fuzz/fuzz_session tests/fuzz/fuzz_answer tests/fuzz/fuzz_path tests/fuzz/fuzz_fields tests/fuzz/fuzz_log \
	tests/fuzz/fuzz_conf tests/fuzz/fuzz_notify tests/fuzz/fuzz_ipc tests/fuzz/fuzz_sni
if HTTP2
fuzz_targets += tests/fuzz/fuzz_h2_session
endif
check_PROGRAMS += $(fuzz_targets)

FUZZ_SECONDS = 10
.PHONY: fuzz
if FUZZING
fuzz_common = tests/fuzz/fuzz.h
fuzz: $(fuzz_targets)
	$(PYTHON3) $(srcdir)/tests/fuzz/run --build . --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS) -- $(fuzz_targets)
else
UNIT_TESTS += $(fuzz_targets)
fuzz_common = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/unit/corpus.c tests/unit/corpus.h
fuzz:
	@echo "make fuzz: this build has no fuzzer; configure another with --enable-fuzzing (needs clang)" >&2; exit 1
endif

fuzz_cppflags = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(ZLIB_CFLAGS) -DTESTS_DIR='"$(abs_srcdir)/tests"'
fuzz_libs = libtine_ws.a $(http_libs) $(HTTP_PARSER_LIBS) $(INIH_LIBS) \
	$(WSLAY_LIBS) $(LWS_LIBS) $(COMPRESS_LIBS) $(LIBEVENT_LIBS) $(FUZZ_ENGINE)

# HTTP/1
tests_fuzz_fuzz_head_SOURCES = tests/fuzz/fuzz_head.c $(fuzz_common)
tests_fuzz_fuzz_head_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_head_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_body_SOURCES = tests/fuzz/fuzz_body.c $(fuzz_common)
tests_fuzz_fuzz_body_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_body_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_proxy_SOURCES = tests/fuzz/fuzz_proxy.c $(fuzz_common)
tests_fuzz_fuzz_proxy_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_proxy_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_forwarded_SOURCES = tests/fuzz/fuzz_forwarded.c $(fuzz_common) tests/unit/head.h
tests_fuzz_fuzz_forwarded_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_forwarded_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_session_SOURCES = tests/fuzz/fuzz_session.c $(fuzz_common) $(asked_sources)
tests_fuzz_fuzz_session_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_session_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_answer_SOURCES = tests/fuzz/fuzz_answer.c $(fuzz_common) $(rig_sources)
tests_fuzz_fuzz_answer_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_answer_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_path_SOURCES = tests/fuzz/fuzz_path.c $(fuzz_common)
tests_fuzz_fuzz_path_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_path_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_fields_SOURCES = tests/fuzz/fuzz_fields.c $(fuzz_common) tests/unit/head.h
tests_fuzz_fuzz_fields_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_fields_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_log_SOURCES = tests/fuzz/fuzz_log.c $(fuzz_common) master/tinectl/tinectl_json.h master/tinectl/tinectl_json.c
tests_fuzz_fuzz_log_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_log_LDADD = $(fuzz_libs)
# What h11_differ.py compares with python-h11
check_PROGRAMS += tests/fuzz/h1_read
tests_fuzz_h1_read_SOURCES = tests/fuzz/h1_read.c
tests_fuzz_h1_read_LDADD = $(h1_unit_libs)

# HTTP/2
tests_fuzz_fuzz_h2_session_SOURCES = tests/fuzz/fuzz_h2_session.c $(fuzz_common) $(rig_sources)
tests_fuzz_fuzz_h2_session_CPPFLAGS = $(fuzz_cppflags) $(NGHTTP2_CFLAGS)
tests_fuzz_fuzz_h2_session_LDADD = $(http_libs) $(NGHTTP2_LIBS) $(fuzz_libs)

# WebSocket
tests_fuzz_fuzz_ws_frames_SOURCES = tests/fuzz/fuzz_ws_frames.c $(fuzz_common) $(rig_sources)
tests_fuzz_fuzz_ws_frames_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_ws_frames_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_ws_handshake_SOURCES = tests/fuzz/fuzz_ws_handshake.c $(fuzz_common)
tests_fuzz_fuzz_ws_handshake_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_ws_handshake_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_ws_deflate_SOURCES = tests/fuzz/fuzz_ws_deflate.c $(fuzz_common)
tests_fuzz_fuzz_ws_deflate_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_ws_deflate_LDADD = $(fuzz_libs)

# The master's
tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz_control.c $(fuzz_common) \
	master/control/control_parse.h master/control/control_parse.c master/control/control_commands.def \
	master/tinectl/tinectl_json.h master/tinectl/tinectl_json.c
tests_fuzz_fuzz_control_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_control_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c $(fuzz_common)
tests_fuzz_fuzz_conf_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_conf_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_notify_SOURCES = tests/fuzz/fuzz_notify.c $(fuzz_common) master/system/notify.h master/system/notify.c
tests_fuzz_fuzz_notify_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_notify_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_ipc_SOURCES = tests/fuzz/fuzz_ipc.c $(fuzz_common)
tests_fuzz_fuzz_ipc_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_ipc_LDADD = $(fuzz_libs)

# A worker's choice of certificates; it includes the file
tests_fuzz_fuzz_sni_SOURCES = tests/fuzz/fuzz_sni.c $(fuzz_common)
tests_fuzz_fuzz_sni_CPPFLAGS = $(fuzz_cppflags) $(OPENSSL_CFLAGS)
tests_fuzz_fuzz_sni_LDADD = $(OPENSSL_LIBS) $(FUZZ_ENGINE)
