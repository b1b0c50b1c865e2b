# SPDX-License-Identifier: BSD-3-Clause
# Workers hosted by the application's own Python: become.c and what it needs are the program's, hosted.c is the module's.
noinst_LIBRARIES += libtine_host.a
libtine_host_a_CPPFLAGS = $(AM_CPPFLAGS) -DTINE_PYTHON='"$(DEFAULT_PYTHON)"' -DTINE_PKGLIBDIR='"$(pkglibdir)"'
libtine_host_a_SOURCES = \
	worker/host/choose_python.h worker/host/choose_python.c \
	worker/host/handover.h worker/host/handover.c \
	worker/host/become.c
nodist_libtine_host_a_SOURCES = worker/host/boot_py.h
BUILT_SOURCES += worker/host/boot_py.h
CLEANFILES += worker/host/boot_py.h
DISTCLEANFILES = pythons.list
EXTRA_DIST += worker/host/boot.py worker/host/hosted.c worker/host/alone.c worker/host/module.map worker/host/module.mk $(package_files)
worker/host/boot_py.h: worker/host/boot.py
	$(python_embed)
worker/host/libtine_host_a-become.$(OBJEXT): worker/host/boot_py.h

# The package tine, for programs that want the event loop alone.
package_files = worker/host/package/__init__.py worker/host/package/loop.py

.PHONY: modules
if !EMBEDDED
# The module, for each Python of pythons.list: its name ends as that Python wants it.
module_sources = $(filter %.c,worker/host/hosted.c worker/host/alone.c $(worker_sources) $(libtine_python_a_SOURCES) $(libtine_app_a_SOURCES) \
	$(libtine_asgi_a_SOURCES) $(libtine_wsgi_a_SOURCES))
module_archives = libtine_ws.a libtine_host.a $(http_libs)
module_libs = $(LIBEVENT_LIBS) $(INIH_LIBS) $(HTTP_PARSER_LIBS) $(NGHTTP2_LIBS) $(WSLAY_LIBS) $(LWS_LIBS) $(COMPRESS_LIBS) \
	$(OPENSSL_LIBS) -lpthread
module_cflags = $(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS) $(LIBEVENT_CFLAGS) $(AM_CFLAGS) $(CFLAGS)
modules: $(BUILT_SOURCES) $(module_archives) pythons.list
	@while read -r suffix includes; do \
	  $(MAKE) --no-print-directory -f $(srcdir)/worker/host/module.mk SUFFIX="$$suffix" INCLUDES="$$includes" \
	    srcdir='$(srcdir)' CC='$(CC)' V='$(V)' SOURCES='$(module_sources)' ARCHIVES='$(module_archives)' LIBS='$(module_libs)' \
	    MODULE_CFLAGS='$(subst ','\'',-I. $(module_cflags))' MODULE_LDFLAGS='$(filter-out -pie,$(AM_LDFLAGS)) $(LDFLAGS)' \
	    || exit 1; \
	done < pythons.list
all-local: modules
install-exec-local: modules
	$(MKDIR_P) "$(DESTDIR)$(pkglibdir)"
	for module in _tine.*.so; do $(INSTALL_PROGRAM) "$$module" "$(DESTDIR)$(pkglibdir)/$$module" || exit 1; done
	$(MKDIR_P) "$(DESTDIR)$(pythondir)/tine"
	for file in $(package_files); do $(INSTALL_DATA) $(srcdir)/$$file "$(DESTDIR)$(pythondir)/tine/" || exit 1; done
	sed "s|^_ELSEWHERE = None.*|_ELSEWHERE = '$(pkglibdir)'|" $(srcdir)/worker/host/package/__init__.py \
	  > "$(DESTDIR)$(pythondir)/tine/__init__.py"
uninstall-local:
	rm -f "$(DESTDIR)$(pkglibdir)"/_tine.*.so
	rm -f "$(DESTDIR)$(pythondir)/tine/__init__.py" "$(DESTDIR)$(pythondir)/tine/loop.py"
	rm -rf "$(DESTDIR)$(pythondir)/tine/__pycache__"
	-rmdir "$(DESTDIR)$(pythondir)/tine"
clean-local:
	rm -rf modules _tine.*.so
endif
