# SPDX-License-Identifier: BSD-3-Clause
"""prometheus_client in its multiprocess mode: a gauge of the living workers, a counter, and their sums at /metrics."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

REQUESTS = Counter("shop_requests", "Requests.")
LIVING = Gauge("shop_workers", "Workers that live.", multiprocess_mode="livesum")
LIVING.set(1)


def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        REQUESTS.inc()
        body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
