noinst_LIBRARIES += libtine_app.a
libtine_app_a_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS)
libtine_app_a_SOURCES = $(app_sources) worker/asgi/nothing.c
