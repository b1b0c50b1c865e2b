# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_metrics.a
libtine_metrics_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
libtine_metrics_a_SOURCES = \
	master/metrics/history.h master/metrics/history.c \
	master/metrics/metrics_clients.h master/metrics/metrics_clients.c \
	master/metrics/readiness.h master/metrics/readiness.c \
	master/metrics/snapshot.h master/metrics/snapshot.c \
	master/metrics/statsd.h master/metrics/statsd.c \
	master/metrics/status_plot.h master/metrics/status_plot.c \
	master/metrics/openmetrics.h master/metrics/openmetrics.c \
	master/metrics/status_json.h master/metrics/status_json.c \
	master/metrics/status_page.h master/metrics/status_page.c \
	master/metrics/metrics_http.h master/metrics/metrics_http.c \
	master/metrics/metrics.h master/metrics/metrics.c

# Style and script of the status page, as C strings.
status_embedded = master/metrics/status_page_css.h master/metrics/status_page_js.h
BUILT_SOURCES += $(status_embedded)
CLEANFILES += $(status_embedded)
EXTRA_DIST += master/metrics/status_page.css master/metrics/status_page.js
status_embed = $(AM_V_GEN)$(MKDIR_P) $(@D) && { \
	  echo "static const char $(@F:.h=)[] = {"; \
	  od -An -v -tu1 $< | sed 's/ *\([0-9][0-9]*\)/\1,/g'; \
	  echo "0 };"; \
	} > $@.new && mv $@.new $@
master/metrics/status_page_css.h: master/metrics/status_page.css
	$(status_embed)
master/metrics/status_page_js.h: master/metrics/status_page.js
	$(status_embed)
master/metrics/libtine_metrics_a-status_page.$(OBJEXT): $(status_embedded)
