noinst_LIBRARIES += libtine_http.a
libtine_http_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(ZLIB_CFLAGS) $(BROTLI_CFLAGS) $(ZSTD_CFLAGS) $(OPENSSL_CFLAGS)
libtine_http_a_SOURCES = $(net_sources) \
	worker/http/handler.h worker/http/resp.h worker/http/req.h worker/http/head_rules.h worker/http/h1_conn.h \
	worker/http/h1_guard.h worker/http/h1_parse.h worker/http/h1_body.h worker/http/forwarded.h \
	worker/http/access_log.h worker/http/account.h worker/http/account.c worker/http/builtin.h worker/http/h1_chars.h \
	worker/http/h1_guard.c worker/http/h1_parse.c worker/http/head_rules.c worker/http/h1_body.c \
	worker/http/forwarded.c worker/http/access_log.c worker/http/access_line.c worker/http/access_line.h worker/http/log_daemon.h worker/http/log_daemon.c \
	worker/http/own_fields.h worker/http/h1_priv.h worker/http/h1_conn.c worker/http/h1_head.c worker/http/h1_in.c \
	worker/http/h1_head_out.h worker/http/h1_head_out.c worker/http/h1_out.c worker/http/h1_upgrade.c worker/http/statuses.def \
	worker/http/route.h worker/http/route.c worker/http/percent.h \
	worker/http/accept_encoding.h worker/http/accept_encoding.c \
	worker/http/static_files.h worker/http/static_files.c worker/http/static_answer.h worker/http/static_answer.c \
	worker/http/static_send.h worker/http/static_send.c \
	worker/http/static_path.h worker/http/static_path.c worker/http/static_mime.h worker/http/static_mime.c \
	worker/http/static_cond.h worker/http/static_cond.c worker/http/static_range.h worker/http/static_range.c \
	worker/http/req.c worker/http/resp.c worker/http/error_resp.c worker/http/admission.h worker/http/admission.c worker/http/builtin.c \
	worker/http/compress.h worker/http/compress_priv.h worker/http/compress.c worker/http/compress_stream.c \
	worker/http/compress_run.c worker/http/compress_head.h worker/http/compress_head.c \
	worker/http/compress_types.h worker/http/compress_types.c \
	worker/http/compress_codec.h worker/http/compress_codec.c worker/http/compress_gzip.c
if BROTLI
libtine_http_a_SOURCES += worker/http/compress_br.c
endif
if ZSTD
libtine_http_a_SOURCES += worker/http/compress_zstd.c
endif

if HTTP2
libtine_http_a_CPPFLAGS += $(NGHTTP2_CFLAGS)
libtine_http_a_SOURCES += worker/http/h2_conn.h worker/http/h2_conn.c worker/http/h2_priv.h worker/http/h2_budget.h \
	worker/http/h2_walk.h worker/http/h2_walk.c worker/http/h2_judge.c \
	worker/http/h2_session.c worker/http/h2_stream.c worker/http/h2_head.c worker/http/h2_in.c \
	worker/http/h2_head_out.c worker/http/h2_out.c worker/http/h2_send.c worker/http/h2_tunnel.c
endif

# A server of builtin:hello without master and Python
noinst_PROGRAMS += tests/unit/h1_serve
tests_unit_h1_serve_SOURCES = tests/unit/h1_serve.c
tests_unit_h1_serve_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
tests_unit_h1_serve_LDADD = libtine_http.a libtine_conf.a libtine_common.a $(LIBEVENT_LIBS) $(INIH_LIBS) $(HTTP_PARSER_LIBS) $(COMPRESS_LIBS)

# Connections driven step by step over socket pairs
rig_tests = tests/unit/test_h1_split tests/unit/test_h1_conn tests/unit/test_h1_answer
check_PROGRAMS += $(rig_tests)
UNIT_TESTS += $(rig_tests)
rig_sources = tests/unit/rig.c tests/unit/rig.h tests/unit/unit.h
rig_cppflags = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) -DTESTS_DIR='"$(abs_srcdir)/tests"'
rig_libs = libtine_http.a libtine_conf.a libtine_common.a $(LIBEVENT_LIBS) $(INIH_LIBS) $(HTTP_PARSER_LIBS) $(COMPRESS_LIBS)
tests_unit_test_h1_split_SOURCES = tests/unit/test_h1_split.c tests/unit/corpus.c tests/unit/corpus.h $(rig_sources)
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
tests_unit_test_static_LDADD = libtine_http.a libtine_conf.a libtine_common.a $(LIBEVENT_LIBS) $(COMPRESS_LIBS)

# Compression: the codecs, and what fields say
check_PROGRAMS += tests/unit/test_compress
UNIT_TESTS += tests/unit/test_compress
tests_unit_test_compress_SOURCES = tests/unit/test_compress.c tests/unit/unit.h
tests_unit_test_compress_CPPFLAGS = $(AM_CPPFLAGS) $(ZLIB_CFLAGS)
tests_unit_test_compress_LDADD = libtine_http.a libtine_conf.a libtine_common.a $(LIBEVENT_LIBS) $(INIH_LIBS) \
	$(HTTP_PARSER_LIBS) $(COMPRESS_LIBS)
