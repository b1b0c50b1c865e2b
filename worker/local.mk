# SPDX-License-Identifier: BSD-3-Clause
worker_sources = worker/worker.h worker/worker.c worker/worker_ipc.c worker/worker_tls.c worker/worker_routes.c worker/worker_app.c worker/worker_steps.c worker/worker_hearing.c worker/worker_beat.c \
	worker/mold.c worker/protocols.h worker/protocols.c worker/interfaces.h worker/interfaces.c
