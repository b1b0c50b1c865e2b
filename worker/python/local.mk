# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_python.a
libtine_python_a_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS) $(LIBEVENT_CFLAGS) \
	-DTINE_PYTHON_PREFIX='"$(PYTHON_EXEC_PREFIX)"'
libtine_python_a_SOURCES = \
	worker/python/loop_priv.h \
	worker/python/task_priv.h \
	worker/python/snapshot.h worker/python/snapshot.c \
	worker/python/step_watch.h worker/python/step_watch.c \
	worker/python/pyerr.h worker/python/pyerr.c \
	worker/python/fork_child.h worker/python/fork_child.c \
	worker/python/thread_hooks.h worker/python/thread_hooks.c \
	worker/python/frame_memory.h worker/python/frame_memory.c \
	worker/python/coro.h worker/python/coro.c \
	worker/python/loop_hide.c \
	worker/python/loop_gil.c \
	worker/python/loop_ready.c \
	worker/python/loop_check.c \
	worker/python/loop_timer.c \
	worker/python/loop_handle.h worker/python/loop_handle.c \
	worker/python/loop_turn.c \
	worker/python/loop_wake.c \
	worker/python/loop_fd.c \
	worker/python/loop_base.c \
	worker/python/loop_task.c \
	worker/python/loop_methods.c \
	worker/python/write_queue.h worker/python/write_queue.c \
	worker/python/transport_priv.h worker/python/transport.c \
	worker/python/stream_priv.h \
	worker/python/stream_read.c \
	worker/python/stream_write.c \
	worker/python/stream_type.c \
	worker/python/sockaddr.h worker/python/sockaddr.c \
	worker/python/datagram.h worker/python/datagram.c \
	worker/python/pipe.h worker/python/pipe.c \
	worker/python/sock_wait.h worker/python/sock_wait.c \
	worker/python/sock_ops.h worker/python/sock_ops.c \
	worker/python/pystate.h worker/python/pystate.c \
	worker/python/loop_host.h worker/python/loop_host.c \
	worker/python/loop.h worker/python/loop.c \
	worker/python/refusal.h worker/python/refusal.c \
	worker/python/native_threads.h worker/python/native_threads.c \
	worker/python/interp.h worker/python/interp.c \
	worker/python/stacks.h worker/python/stacks.c \
	worker/python/awaitable.h worker/python/awaitable.c \
	worker/python/task.h worker/python/task.c \
	worker/python/task_lazy.c \
	worker/python/task_together.c \
	worker/python/task_proxy.c \
	worker/python/task_drive.c \
	worker/python/task_current.c

# The Python halves, as C strings.
python_embedded = worker/python/interp_py.h worker/python/loop_py.h worker/python/fork_child_py.h \
	worker/python/refusal_py.h worker/python/loop_life_py.h
nodist_libtine_python_a_SOURCES = $(python_embedded)
BUILT_SOURCES += $(python_embedded)
CLEANFILES += $(python_embedded)
EXTRA_DIST += worker/python/interp.py worker/python/loop.py worker/python/fork_child.py worker/python/refusal.py \
	worker/python/loop_life.py
python_embed = $(AM_V_GEN)$(MKDIR_P) $(@D) && { \
	  echo "static const char $(@F:_py.h=)_py[] = {"; \
	  od -An -v -tu1 $< | sed 's/ *\([0-9][0-9]*\)/\1,/g'; \
	  echo "0 };"; \
	} > $@.new && mv $@.new $@
worker/python/interp_py.h: worker/python/interp.py
	$(python_embed)
worker/python/loop_py.h: worker/python/loop.py
	$(python_embed)
worker/python/fork_child_py.h: worker/python/fork_child.py
	$(python_embed)
worker/python/refusal_py.h: worker/python/refusal.py
	$(python_embed)
worker/python/loop_life_py.h: worker/python/loop_life.py
	$(python_embed)
# For a build of one program in a fresh tree; later the compiler's own dependencies do.
worker/python/libtine_python_a-interp.$(OBJEXT): worker/python/interp_py.h worker/python/fork_child_py.h
worker/python/libtine_python_a-pystate.$(OBJEXT): worker/python/loop_py.h worker/python/loop_life_py.h
worker/python/libtine_python_a-refusal.$(OBJEXT): worker/python/refusal_py.h
