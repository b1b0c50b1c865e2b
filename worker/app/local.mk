# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_app.a
libtine_app_a_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS) $(LIBEVENT_CFLAGS) $(fault_cppflags)
libtine_app_a_SOURCES = \
	worker/app/interface.h \
	worker/app/app_load.h worker/app/app_load.c \
	worker/app/app_report.h worker/app/app_report.c \
	worker/app/draining.h worker/app/draining.c \
	worker/app/import_gunicorn.c \
	worker/app/mount.h worker/app/mount.c \
	worker/app/app_mismatch.h worker/app/app_mismatch.c

nodist_libtine_app_a_SOURCES = worker/app/app_load_py.h worker/app/draining_py.h worker/app/import_gunicorn_py.h
BUILT_SOURCES += worker/app/app_load_py.h worker/app/draining_py.h worker/app/import_gunicorn_py.h
CLEANFILES += worker/app/app_load_py.h worker/app/draining_py.h worker/app/import_gunicorn_py.h
EXTRA_DIST += worker/app/app_load.py worker/app/draining.py worker/app/import_gunicorn.py
worker/app/draining_py.h: worker/app/draining.py
	$(python_embed)
worker/app/libtine_app_a-draining.$(OBJEXT): worker/app/draining_py.h
worker/app/import_gunicorn_py.h: worker/app/import_gunicorn.py
	$(python_embed)
worker/app/libtine_app_a-import_gunicorn.$(OBJEXT): worker/app/import_gunicorn_py.h
worker/app/app_load_py.h: worker/app/app_load.py
	$(python_embed)
worker/app/libtine_app_a-app_load.$(OBJEXT): worker/app/app_load_py.h
