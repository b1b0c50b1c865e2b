wsgi_sources = worker/wsgi/wsgi.h worker/wsgi/wsgi.c worker/wsgi/wsgi_state.h worker/wsgi/wsgi_names.def \
	worker/wsgi/wsgi_call.h worker/wsgi/wsgi_call.c worker/wsgi/wsgi_environ.h worker/wsgi/wsgi_environ.c \
	worker/wsgi/wsgi_input.h worker/wsgi/wsgi_input.c worker/wsgi/wsgi_errors.h worker/wsgi/wsgi_errors.c \
	worker/wsgi/wsgi_start.h worker/wsgi/wsgi_start.c worker/wsgi/wsgi_file.h worker/wsgi/wsgi_file.c \
	worker/wsgi/wsgi_run.h worker/wsgi/wsgi_run.c worker/wsgi/wsgi_out.h worker/wsgi/wsgi_out.c \
	worker/wsgi/wsgi_spool.h worker/wsgi/wsgi_spool.c \
	worker/wsgi/wsgi_pool.h worker/wsgi/wsgi_pool.c
