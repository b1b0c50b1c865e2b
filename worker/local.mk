# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
worker_sources = \
	worker/worker.h \
	worker/protocols.h worker/protocols.c \
	worker/interfaces.h worker/interfaces.c \
	worker/worker_base.c \
	worker/worker_freeze.c \
	worker/worker_memory.c \
	worker/worker_limits.c \
	worker/worker_steps.c \
	worker/worker_hearing.c \
	worker/worker_beat.c \
	worker/worker_tls.c \
	worker/worker_versions.c \
	worker/worker_reports.c \
	worker/worker_app.c \
	worker/worker_routes.c \
	worker/worker_ipc.c \
	worker/worker.c \
	worker/mold.c
