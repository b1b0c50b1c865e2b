# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_http.a
libtine_http_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_http_a_SOURCES = \
	worker/http/chars.h \
	worker/http/handler.h \
	worker/http/own_fields.h \
	worker/http/percent.h \
	worker/http/statuses.def \
	worker/http/head_rules.h worker/http/head_rules.c \
	worker/http/tracing.h worker/http/tracing.c \
	worker/http/added_fields.h worker/http/added_fields.c \
	worker/http/held.h worker/http/held.c \
	worker/http/site.h worker/http/site.c \
	worker/http/req.h worker/http/req.c \
	worker/http/route.h worker/http/route.c \
	worker/http/resp_head.c \
	worker/http/error_resp.c \
	worker/http/resp.h worker/http/resp.c \
	worker/http/builtin.h worker/http/builtin.c \
	worker/http/front.h worker/http/front.c \
	worker/http/field_list.h worker/http/field_list.c \
	worker/http/forwarded.h worker/http/forwarded.c \
	worker/http/admission.h worker/http/admission.c
