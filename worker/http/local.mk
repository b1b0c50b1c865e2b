noinst_LIBRARIES += libtine_http.a
libtine_http_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_http_a_SOURCES = $(net_sources) \
	worker/http/handler.h worker/http/resp.h worker/http/req.h worker/http/head_rules.h worker/http/h1_conn.h \
	worker/http/h1_guard.h worker/http/h1_parse.h worker/http/h1_body.h worker/http/forwarded.h \
	worker/http/access_log.h worker/http/builtin.h worker/http/h1_chars.h \
	worker/http/h1_guard.c worker/http/h1_parse.c worker/http/head_rules.c worker/http/h1_body.c \
	worker/http/forwarded.c worker/http/access_log.c worker/http/access_line.c worker/http/access_line.h
