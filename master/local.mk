# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
master_sources = \
	master/orders.h master/service.h master/reload_part.h \
	master/import.h master/import.c \
	master/check.h master/check.c \
	master/import_check.h master/import_check.c \
	master/signals.h master/signals.c \
	master/dev_reload.h master/dev_reload.c \
	master/upgrade.h master/upgrade_exec.h master/upgrade_exec.c \
	master/upgrade.c \
	master/reload.h master/reload.c \
	master/master.h master/master_priv.h \
	master/reload_parts.h master/reload_parts.c \
	master/master_state.c \
	master/master_stop.c \
	master/master_events.c \
	master/master_orders.c \
	master/master.c \
	master/main.c

# The unit is written for /usr; what is installed names the folders of this build.
dist_noinst_DATA += conf/tine.service
nodist_systemdsystemunit_DATA = conf/unit/tine.service
dist_systemdsystemunit_DATA = conf/tine.socket
CLEANFILES += conf/unit/tine.service
conf/unit/tine.service: conf/tine.service Makefile
	$(AM_V_GEN)$(MKDIR_P) conf/unit && \
	sed -e 's|/usr/bin/tine|$(bindir)/tine|' -e 's|/etc/tine|$(sysconfdir)/tine|' $(srcdir)/conf/tine.service > $@

