worker_sources = worker/protocols.h
