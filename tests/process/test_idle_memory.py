# SPDX-License-Identifier: BSD-3-Clause
"""What an idle connection costs a worker, in each protocol: the figures that tine(8) states. Each connection has had an answer, as
those of browsers and proxies have that are kept."""

import contextlib

import pytest

pytest.importorskip("hpack")

from lib import certs  # noqa: E402
from lib.h2 import H2  # noqa: E402
from lib.procfs import memory_kb, sanitized  # noqa: E402
from lib.server import Server  # noqa: E402
from lib.tls import TLSConn  # noqa: E402

CONNECTIONS = 500
CONFIG = {"http": {"keepalive": "10m", "header_timeout": "10m"}, "server": {"worker_connections": 2 * CONNECTIONS}}


def connect(server, tls, http2):
    if not tls:
        return server.connect()
    return TLSConn(server.address, context=certs.context(alpn=["h2"] if http2 else ["http/1.1"]))


def each_kb(tls, http2):
    """kB of a worker's memory for each of many idle connections; None: sanitizers make it meaningless."""
    with Server("hello", CONFIG, tls=tls, flags="" if tls else "h2c") as s, contextlib.ExitStack() as stack:
        worker, = s.workers()
        if sanitized(worker):
            return None

        def add():
            c = stack.enter_context(connect(s, tls, http2))
            answer = H2(c).get("/") if http2 else c.request("GET", "/")
            assert answer.status == 200
        for _ in range(20):
            add()
        before = memory_kb(worker)
        for _ in range(CONNECTIONS):
            add()
        return (memory_kb(worker) - before) / CONNECTIONS


# Measured: 1.1, 16.3, 11.4 and 26.4. Other versions of OpenSSL and nghttp2 may take a little more; a frame buffer of nghttp2 for each
# connection would be 16 kB.
@pytest.mark.parametrize("tls,http2,most", [(False, False, 2), (True, False, 21), (False, True, 14), (True, True, 34)],
                         ids=["http1", "http1-tls", "h2c", "h2-tls"])
def test_an_idle_connection_costs_what_the_manual_says(tls, http2, most):
    each = each_kb(tls, http2)
    assert each is None or each <= most
