# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_app.a
libtine_app_a_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS) $(LIBEVENT_CFLAGS) $(fault_cppflags)
libtine_app_a_SOURCES = \
	worker/app/interface.h \
	worker/app/app_load.h worker/app/app_load.c \
	worker/app/app_report.h worker/app/app_report.c \
	worker/app/draining.h worker/app/draining.c \
	worker/app/tasks_text.h worker/app/tasks_text.c \
	worker/app/hooks.h worker/app/hooks.c \
	worker/app/import.c \
	worker/app/mount.h worker/app/mount.c \
	worker/app/app_mismatch.h worker/app/app_mismatch.c

importers = worker/app/import_ini.py worker/app/import_gunicorn.py worker/app/import_uvicorn.py worker/app/import_hypercorn.py \
	worker/app/import_granian.py worker/app/import_uwsgi.py worker/app/import_main.py
importers_embedded = worker/app/import_ini_py.h worker/app/import_gunicorn_py.h worker/app/import_uvicorn_py.h \
	worker/app/import_hypercorn_py.h worker/app/import_granian_py.h worker/app/import_uwsgi_py.h worker/app/import_main_py.h
app_embedded = worker/app/app_load_py.h worker/app/draining_py.h worker/app/tasks_text_py.h worker/app/hooks_py.h $(importers_embedded)
nodist_libtine_app_a_SOURCES = $(app_embedded)
BUILT_SOURCES += $(app_embedded)
CLEANFILES += $(app_embedded)
EXTRA_DIST += worker/app/app_load.py worker/app/draining.py worker/app/tasks_text.py worker/app/hooks.py $(importers)
worker/app/draining_py.h: worker/app/draining.py
	$(python_embed)
worker/app/tasks_text_py.h: worker/app/tasks_text.py
	$(python_embed)
worker/app/hooks_py.h: worker/app/hooks.py
	$(python_embed)
worker/app/libtine_app_a-hooks.$(OBJEXT): worker/app/hooks_py.h
worker/app/libtine_app_a-tasks_text.$(OBJEXT): worker/app/tasks_text_py.h
worker/app/libtine_app_a-draining.$(OBJEXT): worker/app/draining_py.h
worker/app/import_ini_py.h: worker/app/import_ini.py
	$(python_embed)
worker/app/import_gunicorn_py.h: worker/app/import_gunicorn.py
	$(python_embed)
worker/app/import_uvicorn_py.h: worker/app/import_uvicorn.py
	$(python_embed)
worker/app/import_hypercorn_py.h: worker/app/import_hypercorn.py
	$(python_embed)
worker/app/import_granian_py.h: worker/app/import_granian.py
	$(python_embed)
worker/app/import_uwsgi_py.h: worker/app/import_uwsgi.py
	$(python_embed)
worker/app/import_main_py.h: worker/app/import_main.py
	$(python_embed)
worker/app/libtine_app_a-import.$(OBJEXT): $(importers_embedded)
worker/app/app_load_py.h: worker/app/app_load.py
	$(python_embed)
worker/app/libtine_app_a-app_load.$(OBJEXT): worker/app/app_load_py.h
