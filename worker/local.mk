worker_sources = worker/protocols.h worker/worker.c
