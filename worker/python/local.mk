noinst_LIBRARIES += libtine_python.a
libtine_python_a_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS) $(LIBEVENT_CFLAGS)
libtine_python_a_SOURCES = worker/python/interp.h worker/python/pyerr.h worker/python/loop.h worker/python/task.h \
	worker/python/awaitable.h worker/python/awaitable.c worker/python/coro.h worker/python/coro.c \
	worker/python/nothing.c
