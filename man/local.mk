# SPDX-License-Identifier: BSD-3-Clause
dist_man_MANS += man/tine.8 man/tinectl.8 man/tine-internals.7

# tine.ini(5): its list of keys comes from conf_keys.def.
nodist_man_MANS += man/tine.ini.5
CLEANFILES += man/tine.ini.5
dist_noinst_DATA += man/tine.ini.5.in
man/tine.ini.5: man/tine.ini.5.in conf/keydoc$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && conf/keydoc$(EXEEXT) man $(srcdir)/man/tine.ini.5.in > $@.new && mv $@.new $@
