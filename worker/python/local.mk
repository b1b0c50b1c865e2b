noinst_LIBRARIES += libtine_python.a
libtine_python_a_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS) $(LIBEVENT_CFLAGS)
libtine_python_a_SOURCES = worker/python/interp.h worker/python/pyerr.h worker/python/loop.h worker/python/task.h \
	worker/python/awaitable.h worker/python/awaitable.c worker/python/coro.h worker/python/coro.c \
	worker/python/task_internal.h worker/python/task.c worker/python/task_lazy.c worker/python/task_proxy.c \
	worker/python/task_drive.c worker/python/task_current.c \
	worker/python/nothing.c
