master_sources = \
	master/main.c \
	master/master.h master/master.c \
	master/signals.h master/signals.c \
	master/reload.h master/reload.c \
	master/recycle.h master/recycle.c \
	master/watchdog.h master/watchdog.c \
	master/generation.h master/generation.c \
	master/certs.h master/certs.c \
	master/apply.h master/apply.c \
	master/workers.h master/workers.c \
	master/slots.h master/slots.c \
	master/snapshot.h master/snapshot.c \
	master/stacks.h master/stacks.c \
	master/nudge.h master/nudge.c master/seats.h master/seats.c \
	master/control_parse.h master/control_parse.c master/control_commands.def \
	master/control.h master/control.c master/control_client.c master/control_commands.c \
	master/spawn.h master/spawn.c \
	master/mold.h master/mold.c \
	master/reap.h master/reap.c \
	master/listen.h master/listen.c master/listen_unix.c master/listen_passed.c master/listen_handed.c \
	master/dev_reload.h master/dev_reload.c master/file_watch.h master/file_watch.c \
	master/import_gunicorn.h master/import_gunicorn.c \
	master/upgrade.h master/upgrade.c master/upgrade_exec.h master/upgrade_exec.c \
	master/privs.h master/privs.c \
	master/pidfile.h master/pidfile.c \
	master/daemon.h master/daemon.c \
	master/tally.h master/readiness.h master/readiness.c \
	master/history.h master/history.c \
	master/metrics.h master/metrics.c \
	master/metrics_http.h master/metrics_http.c master/metrics_clients.h master/metrics_clients.c \
	master/openmetrics.h master/openmetrics.c \
	master/status_json.h master/status_json.c \
	master/status_page.h master/status_page.c master/status_plot.h master/status_plot.c \
	master/statsd.h master/statsd.c \
	master/notify_main.h master/notify_main.c \
	master/notify.h master/notify.c

# A program of its own: no Python, no event loop.
bin_PROGRAMS += tinectl
tinectl_SOURCES = \
	master/tinectl.c \
	master/tinectl_talk.h master/tinectl_talk.c \
	master/tinectl_json.h master/tinectl_json.c \
	master/tinectl_show.h master/tinectl_show.c master/tinectl_table.c \
	master/tinectl_top.h master/tinectl_top.c \
	master/control_parse.h master/control_parse.c master/control_commands.def
tinectl_CPPFLAGS = $(AM_CPPFLAGS)
tinectl_LDADD = libtine_common.a

# The unit is written for /usr; what is installed names the folders of this build.
dist_noinst_DATA += conf/tine.service
nodist_systemdsystemunit_DATA = conf/unit/tine.service
dist_systemdsystemunit_DATA = conf/tine.socket
CLEANFILES += conf/unit/tine.service
conf/unit/tine.service: conf/tine.service Makefile
	$(AM_V_GEN)$(MKDIR_P) conf/unit && \
	sed -e 's|/usr/bin/tine|$(bindir)/tine|' -e 's|/etc/tine|$(sysconfdir)/tine|' $(srcdir)/conf/tine.service > $@

# Style and script of the status page, as C strings.
status_embedded = master/status_page_css.h master/status_page_js.h
BUILT_SOURCES += $(status_embedded)
CLEANFILES += $(status_embedded)
EXTRA_DIST += master/status_page.css master/status_page.js
status_embed = $(AM_V_GEN)$(MKDIR_P) $(@D) && { \
	  echo "static const char $(@F:.h=)[] = {"; \
	  od -An -v -tu1 $< | sed 's/ *\([0-9][0-9]*\)/\1,/g'; \
	  echo "0 };"; \
	} > $@.new && mv $@.new $@
master/status_page_css.h: master/status_page.css
	$(status_embed)
master/status_page_js.h: master/status_page.js
	$(status_embed)
master/tine-status_page.$(OBJEXT): $(status_embedded)
