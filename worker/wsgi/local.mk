# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
noinst_LIBRARIES += libtine_wsgi.a
libtine_wsgi_a_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS) $(LIBEVENT_CFLAGS) $(fault_cppflags)
libtine_wsgi_a_SOURCES = \
	worker/wsgi/wsgi_names.def \
	worker/wsgi/wsgi_state.h \
	worker/wsgi/wsgi_spool.h worker/wsgi/wsgi_spool.c \
	worker/wsgi/wsgi_call.h worker/wsgi/wsgi_call.c \
	worker/wsgi/wsgi_errors.h worker/wsgi/wsgi_errors.c \
	worker/wsgi/wsgi_file.h worker/wsgi/wsgi_file.c \
	worker/wsgi/wsgi_outbox.c \
	worker/wsgi/wsgi_frames.h worker/wsgi/wsgi_socket.h worker/wsgi/wsgi_socket.c \
	worker/wsgi/wsgi_pool.h worker/wsgi/wsgi_pool_priv.h worker/wsgi/wsgi_pool.c \
	worker/wsgi/wsgi_send.c \
	worker/wsgi/wsgi_greenlet.h worker/wsgi/wsgi_greenlet.c \
	worker/wsgi/wsgi_flusher.h worker/wsgi/wsgi_flusher.c \
	worker/wsgi/wsgi_out.h worker/wsgi/wsgi_out.c \
	worker/wsgi/wsgi_head.h worker/wsgi/wsgi_head.c \
	worker/wsgi/wsgi_limit.h worker/wsgi/wsgi_limit.c \
	worker/wsgi/wsgi_input.h worker/wsgi/wsgi_input.c \
	worker/wsgi/wsgi_environ.h worker/wsgi/wsgi_environ.c \
	worker/wsgi/wsgi_body.h worker/wsgi/wsgi_body.c \
	worker/wsgi/wsgi_start.h worker/wsgi/wsgi_start.c \
	worker/wsgi/wsgi_run.h worker/wsgi/wsgi_run.c \
	worker/wsgi/wsgi_turn.h worker/wsgi/wsgi_turn.c \
	worker/wsgi/wsgi.h worker/wsgi/wsgi.c
