# SPDX-License-Identifier: BSD-3-Clause
"""Many requests over keep-alive connections leave memory flat: nothing is kept per request.

100,000 requests; $TINE_TEST_REQUESTS asks for more, such as the million of the acceptance run.
"""

import os

import pytest

from lib.procfs import memory_kb, sanitized
from lib.server import Server

REQUESTS = int(os.environ.get("TINE_TEST_REQUESTS", "100000"))
CONNECTIONS, DEPTH = 16, 25


def run(conns, raw, answer_length, rounds):
    """Each round: DEPTH pipelined requests on every connection, and as many answers of a known length."""
    for _ in range(rounds):
        for c in conns:
            c.socket.sendall(raw * DEPTH)
        for c in conns:
            data = c.read_exactly(answer_length * DEPTH)
            assert data.count(b"HTTP/1.1 200 OK\r\n") == DEPTH


@pytest.mark.parametrize("app, raw", [
    ("hello", b"GET /some/path?q=1 HTTP/1.1\r\nHost: test\r\nUser-Agent: many/1\r\nAccept: */*\r\n\r\n"),
    ("bodies", b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello"),
    ("turns", b"GET /count?n=1 HTTP/1.1\r\nHost: test\r\n\r\n")])
def test_memory_is_flat(app, raw):
    """The first fifth warms caches and arenas up; after it nothing may grow but by noise."""
    requests = REQUESTS if app == "hello" else REQUESTS // 5
    rounds = max(requests // (CONNECTIONS * DEPTH), 10)
    with Server(app, deadline=60) as server:
        worker, = server.workers()
        conns = [server.connect(timeout=60) for _ in range(CONNECTIONS)]
        conns[0].send(raw)
        first = conns[0].read_response()
        length = len(first.raw_head) + len(first.body)
        run(conns, raw, length, rounds // 5)
        before = memory_kb(worker)
        run(conns, raw, length, rounds - rounds // 5)
        grown = memory_kb(worker) - before
        for c in conns:
            c.close()
        assert grown < (65536 if sanitized(worker) else 1024), f"{grown} kB more after {requests} requests"
