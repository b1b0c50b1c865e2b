# SPDX-License-Identifier: BSD-3-Clause
"""Large bodies are sent from the application's own memory while the client is slow: no byte may change, move or outlive
what it was lent for. The sanitizer build shows bytes that are read after they were freed."""

import pytest
from apps.lent import pattern
from lib.client import Truncated
from lib.procfs import memory_kb, sanitized

N = 4 << 20


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def server(serve, request):
    return serve("lent", allow=["Traceback"], tls=request.param)


def slow(server):
    return server.connect(rcvbuf=16384)


def still_right(conn):
    assert conn.request("GET", "/hello").body == b"hello"
    conn.expect_no_more()


@pytest.mark.parametrize("path", ["/sized", "/other", "/forgotten"])
@pytest.mark.parametrize("n", [65528, 65536, 200000, N])
def test_a_large_body(server, path, n):
    with slow(server) as c:
        assert c.request("GET", f"{path}?n={n}").body == pattern(n)
        still_right(c)


@pytest.mark.parametrize("path", ["/chunks", "/at_once"])
@pytest.mark.parametrize("n", [65536, 1 << 20])
def test_large_chunks(server, path, n):
    with slow(server) as c:
        r = c.request("GET", f"{path}?n={n}")
        assert r.get("transfer-encoding") == "chunked"
        assert r.body == pattern(n) + pattern(n, 1) + pattern(n, 2) + b"end"
        still_right(c)


def test_pipelined_behind_a_large_body(server):
    with slow(server) as c:
        c.send_request("GET", "/hello").send_request("GET", "/sized").send_request("GET", "/hello")
        assert c.read_response().body == b"hello"
        assert c.read_response().body == pattern(N)
        assert c.read_response().body == b"hello"
        c.expect_no_more()


def test_connection_close_behind_a_large_body(server):
    with slow(server) as c:
        r = c.request("GET", "/sized", headers=[("Connection", "close")])
        assert r.body == pattern(N)
        c.expect_close()


def test_http10(server):
    with slow(server) as c:
        assert c.request("GET", "/chunks", version="1.0").body == pattern(N) + pattern(N, 1) + pattern(N, 2) + b"end"


def test_wait_for_the_client_given_up(server):
    with slow(server) as c:
        c.send_request("GET", "/cancelled")
        c.fill()
        assert server.get("/hello").body == b"hello"
        assert c.read_response().body == pattern(N) + b"end"
        still_right(c)


def test_longer_than_its_length(server):
    with slow(server) as c:
        r = c.request("GET", "/too_long")
        assert r.body == pattern(N)[:-8]
        c.expect_close()


@pytest.mark.parametrize("path", ["/too_short", "/raises"])
def test_cut(server, path):
    with slow(server) as c:
        c.send_request("GET", path)
        with pytest.raises((Truncated, ConnectionError)):
            c.read_response()
    assert server.get("/hello").body == b"hello"


def test_client_goes_away(server):
    for leave in ("close", "reset"):
        with slow(server) as c:
            c.send_request("GET", "/sized")
            c.read_until(b"\r\n\r\n")
            getattr(c, leave)()
    assert server.get("/hello").body == b"hello"


def test_memory_of_slow_clients(server):
    """Each holds its own body once, not twice."""
    n = 16 << 20
    server.get("/hello")
    worker = server.workers()[0]
    if sanitized(worker):
        pytest.skip("the sanitizer keeps freed memory")
    before = memory_kb(worker)
    conns = [slow(server) for _ in range(4)]
    try:
        for c in conns:
            c.send_request("GET", f"/zeros?n={n}")
        for c in conns:
            c.read_until(b"\r\n\r\n")
        grown = memory_kb(worker) - before
        assert grown < 4 * 1.5 * n / 1024
    finally:
        for c in conns:
            c.close()
