# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libtine_conf.a
libtine_conf_a_CPPFLAGS = $(AM_CPPFLAGS) $(INIH_CFLAGS)
libtine_conf_a_SOURCES = \
	conf/conf.h \
	conf/conf_keys.def \
	conf/conf_loaded.h \
	conf/conf_pool.h conf/conf_pool.c \
	conf/conf_settings.h conf/conf_settings.c \
	conf/conf_cli.h conf/conf_cli.c \
	conf/conf_table.h conf/conf_table.c \
	conf/conf_env.c \
	conf/conf_env_file.c \
	conf/conf_number.h conf/conf_number.c \
	conf/conf_addr.h conf/conf_addr.c \
	conf/conf_extensions.def \
	conf/conf_extensions.h conf/conf_extensions.c \
	conf/conf_fields.h conf/conf_fields.c \
	conf/log_format.h conf/log_format.c \
	conf/conf_types.h conf/conf_types.c \
	conf/conf_apply.c \
	conf/log_dest.h conf/log_dest.c \
	conf/conf_check.c \
	conf/conf_load.h conf/conf_load.c \
	conf/conf_dump.c \
	conf/conf_pack.h conf/conf_pack.c \
	conf/conf_reload.c

# What people read about the keys is made from the rows that the loader uses.
noinst_PROGRAMS += conf/keydoc
conf_keydoc_SOURCES = conf/keydoc.c
conf_keydoc_LDADD = libtine_conf.a libtine_common.a
dist_noinst_DATA += conf/tine.ini
# As tine.service needs it: systemctl reload asks there how the reload went.
install-data-hook:
	$(MKDIR_P) "$(DESTDIR)$(sysconfdir)/tine"
	test -f "$(DESTDIR)$(sysconfdir)/tine/tine.ini" || { \
	  $(INSTALL_DATA) $(srcdir)/conf/tine.ini "$(DESTDIR)$(sysconfdir)/tine/tine.ini" && \
	  sed -i 's|^;socket =$$|socket = /run/tine/control.sock|' "$(DESTDIR)$(sysconfdir)/tine/tine.ini"; }
