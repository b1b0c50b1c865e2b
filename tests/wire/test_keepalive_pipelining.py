# SPDX-License-Identifier: BSD-3-Clause
"""Pipelining, keep-alive and connections that are used more than once."""

import select
import socket

import pytest

from lib.waiting import wait_for


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def server(serve, request):
    return serve("turns", tls=request.param)


def test_many_requests_on_one_connection(server):
    with server.connect() as c:
        for i in range(500):
            assert c.request("GET", f"/quick?n={i % 2}").body == b"quick"
        c.expect_no_more()


def test_pipelined_answers_in_order_one_call_at_a_time(server):
    with server.connect() as c:
        c.send(b"".join(b"GET /count?n=%d HTTP/1.1\r\nHost: test\r\n\r\n" % i for i in range(50)))
        for i in range(50):
            assert c.read_response().json() == {"n": str(i), "most": 1}
        c.expect_no_more()


def test_pipelined_bodies_arrive_whole(serve):
    server = serve("bodies")
    with server.connect() as c:
        for i in range(20):
            if i % 2:
                c.send_request("POST", "/echo", body=b"body%d" % i)
            else:
                c.send_request("POST", "/echo", chunks=[b"bo", b"dy%d" % i])
        assert [c.read_response().body for _ in range(20)] == [b"body%d" % i for i in range(20)]
        c.expect_no_more()


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_pipelined_requests_cut_anywhere(server, size):
    raw = b"".join(b"GET /count?n=%d HTTP/1.1\r\nHost: test\r\n\r\n" % i for i in range(5))
    with server.connect() as c:
        for at in range(0, len(raw), size):
            c.send(raw[at:at + size])
        assert [c.read_response().json()["n"] for _ in range(5)] == list("01234")


def test_second_request_waits_for_the_first(server):
    with server.connect() as c:
        c.send_request("GET", "/wait?gate=a").send_request("GET", "/quick?order=second")
        server.wait_event(path="wait", gate="a")
        assert server.get("/quick?order=barrier").body == b"quick"
        server.wait_event(path="quick", query={"order": "barrier"})
        assert not server.has_event(path="quick", query={"order": "second"})
        c.expect_no_more()
        assert server.get("/open?gate=a").body == b"opened"
        assert c.read_response().body == b"waited for a" and c.read_response().body == b"quick"
        server.wait_event(path="quick", query={"order": "second"})


def test_next_request_is_served_while_the_first_call_still_runs(server):
    """The answer decides, not the call: background work must not hold the connection."""
    with server.connect() as c:
        assert c.request("GET", "/answers_then_waits?gate=bg").body == b"answered"
        server.wait_event(path="answers_then_waits", gate="bg")
        assert c.request("GET", "/quick?x=1").body == b"quick"
        assert c.request("GET", "/open?gate=bg").body == b"opened"


def test_pipelining_is_held_back(server):
    """A client that pipelines without reading is stopped by the sockets' buffers, not by the server's memory."""
    request = b"GET /large HTTP/1.1\r\nHost: test\r\nX-Pad: " + b"p" * 1000 + b"\r\n\r\n"
    with server.connect(rcvbuf=32768) as c:
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        c.socket.setblocking(False)
        sent, pending, stuck = 0, b"", False
        while sent < 64 << 20 and not stuck:
            pending = pending or request * 16
            stuck = not select.select([], [c.socket], [], 1.0)[1]
            if not stuck:
                n = c.socket.send(pending)
                sent, pending = sent + n, pending[n:]
        assert stuck, "64 MB of pipelined requests were taken while none of the answers was read"
        c.socket.settimeout(c.timeout)
        whole = sent // len(request)
        for _ in range(whole):
            assert c.read_response().body == b"L" * 65536


def test_idle_connection_is_closed(serve):
    server = serve("turns", {"http": {"keepalive": "300ms"}})
    with server.connect() as c:
        assert c.request("GET", "/quick?a=1").body == b"quick"
        c.expect_close()


def test_keepalive_does_not_run_while_a_request_runs_or_waits(serve):
    """Both the running and the pipelined request take longer than the time-out."""
    server = serve("turns", {"http": {"keepalive": "300ms"}})
    with server.connect() as c:
        c.send_request("GET", "/slow?s=1").send_request("GET", "/slow?s=1")
        assert c.read_response().body == b"slow" and c.read_response().body == b"slow"
        c.expect_close()


def test_keepalive_zero_closes_after_each_answer(serve):
    server = serve("turns", {"http": {"keepalive": "0"}})
    with server.connect() as c:
        r = c.request("GET", "/quick?a=1")
        assert r.body == b"quick" and r.closes
        c.expect_close()


def test_connection_without_any_request_is_closed(serve):
    server = serve("turns", {"http": {"keepalive": "300ms", "header_timeout": "300ms"}})
    with server.connect() as c:
        data = c.read_to_end()
        assert data == b"" or data.startswith(b"HTTP/1.1 408 ")


def test_connections_beyond_the_limit_wait(serve):
    """worker_connections = 2: the third is not accepted before one of the others has gone, and is served then."""
    server = serve("turns", {"server": {"worker_connections": 2}})
    first, second, third = server.connect(), server.connect(), server.connect()
    with first, second, third:
        assert first.request("GET", "/quick?a=1").body == b"quick"
        assert second.request("GET", "/quick?a=1").body == b"quick"
        third.send_request("GET", "/quick?a=3")
        assert first.request("GET", "/quick?a=1").body == b"quick"
        third.expect_no_more()
        assert not server.has_event(path="quick", query={"a": "3"})
        first.close()
        assert third.read_response().body == b"quick"


def test_connections_come_and_go(server):
    for _ in range(200):
        with server.connect() as c:
            assert c.request("GET", "/quick?a=1", ["Connection: close"]).closes
            c.expect_close()


def test_many_connections_at_once(server):
    conns = [server.connect() for _ in range(300)]
    try:
        for c in conns:
            c.send_request("GET", "/count?n=1")
        assert all(c.read_response().json()["most"] == 1 for c in conns)
    finally:
        for c in conns:
            c.close()


def test_conns_that_say_nothing_do_not_hold_others(server):
    silent = [server.connect() for _ in range(100)]
    half = [server.connect().send("GET / HT") for _ in range(100)]
    try:
        assert server.get("/quick?a=1").body == b"quick"
    finally:
        for c in silent + half:
            c.close()
    wait_for(lambda: server.get("/quick?a=1").status == 200)
