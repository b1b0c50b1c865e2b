# SPDX-License-Identifier: BSD-3-Clause
"""The client goes away, and the application hears of it; an application is never blamed for it."""

import pytest


RAISES = {"app": {"asgi_spec_version": "2.5"}}


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def server(serve, request):
    """ASGI 2.5: send() raises after a disconnect. The log of this server must hold no traceback when it stops."""
    s = serve("gone", RAISES, tls=request.param)
    yield s
    assert s.get("/ok").body == b"ok"


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_client_gone_after_the_request_is_a_disconnect(server, how):
    c = server.connect()
    c.send_request("GET", "/receives")
    server.wait_event(path="receives", state="running")
    getattr(c, how)()
    event = server.wait_event(path="receives", state="over")
    assert event["got"] == ["http.request", "http.disconnect"] and event["again"] == "http.disconnect"
    assert event["error"][0] is True
    if how == "half_close":
        c.expect_close()


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_client_gone_inside_the_body_is_a_disconnect(server, how):
    c = server.connect()
    c.send("POST /receives HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\npart")
    server.wait_event(path="receives", state="running")
    getattr(c, how)()
    event = server.wait_event(path="receives", state="over")
    assert set(event["got"][:-1]) <= {"http.request"} and event["got"][-1] == event["again"] == "http.disconnect"
    assert event["error"][0] is True
    c.close()


@pytest.mark.parametrize("rest", ["", "5", "5\r\nab", "5\r\nabcde\r\n", "5\r\nabcde\r\n0\r\n"])
def test_client_gone_inside_chunks_is_a_disconnect(server, rest):
    with server.connect() as c:
        c.send(f"POST /receives HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{rest}")
        server.wait_event(path="receives", state="running")
        c.half_close()
        event = server.wait_event(path="receives", state="over")
        assert event["got"][-1] == "http.disconnect"


def test_send_to_a_lost_client_raises_oserror_and_is_no_fault(server):
    c = server.connect()
    c.send_request("GET", "/raises_oserror")
    server.wait_event(path="raises_oserror", state="running")
    mark = server.log_mark()
    c.reset()
    server.wait_event(path="raises_oserror", state="gone")
    assert server.get("/ok").body == b"ok"
    assert "[ERROR]" not in server.log()[mark:]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_stream_to_a_lost_client_ends_with_oserror(server, how):
    """The client never reads on, so send() waits; when it goes, the wait ends."""
    c = server.connect(rcvbuf=16384)
    c.send_request("GET", f"/streams?tag={how}")
    c.read_until(b"first")
    getattr(c, how)()
    event = server.wait_event(path="streams", state="over", tag=how)
    assert event["error"][0] is True, event


def test_every_send_after_the_loss_raises(server):
    c = server.connect()
    c.send_request("GET", "/keeps_sending")
    c.read_until(b"\r\n\r\n")
    c.reset()
    assert server.wait_event(path="keeps_sending")["errors"] == 3


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_listener_beside_a_stream_hears_the_disconnect(server, how):
    c = server.connect()
    c.send_request("GET", "/streams_and_listens")
    c.read_until(b"first")
    server.wait_event(path="streams_and_listens", state="running")
    getattr(c, how)()
    server.wait_event(path="streams_and_listens", state="over")
    c.close()


def test_half_closed_client_gets_its_answer(server):
    """printf 'GET ...' | nc: the application never asks, so the answer still goes out."""
    with server.connect() as c:
        c.send_request("GET", "/never_receives")
        server.wait_event(path="never_receives", state="running")
        c.half_close()
        assert c.read_response().body == b"answered"
        c.expect_close()


def test_half_close_in_the_same_moment_as_the_request(server):
    with server.connect() as c:
        c.send_request("GET", "/never_receives").half_close()
        assert c.read_response().body == b"answered"
        c.expect_close()


def test_half_close_behind_pipelined_requests(server):
    with server.connect() as c:
        for _ in range(3):
            c.send_request("GET", "/never_receives")
        c.half_close()
        assert [c.read_response().body for _ in range(3)] == [b"answered"] * 3
        c.expect_close()


def test_disconnect_does_not_cancel(server):
    c = server.connect()
    c.send_request("GET", "/cancelled")
    server.wait_event(path="cancelled", state="running")
    c.reset()
    server.wait_event(path="cancelled", state="over")


@pytest.fixture(params=["http/1.1", "h2"])
def older(serve, request):
    """ASGI 2.3, the default: send() is ignored after a disconnect. Opens a request; the second value makes its client leave."""
    if request.param == "h2":
        h2 = pytest.importorskip("lib.h2")
    s = serve("gone", flags="" if request.param == "http/1.1" else "h2c")

    def opened(path):
        c = s.connect(rcvbuf=16384)
        if request.param == "http/1.1":
            c.send_request("GET", path)
            return c, c.reset
        h = h2.H2(c)
        stream = h.request(path=path)
        return c, lambda: h.reset(stream)
    s.opened, s.is_h2 = opened, request.param == "h2"
    yield s
    assert "[ERROR]" not in s.log() and "cancelled" not in s.log()


def test_older_send_to_a_lost_client_is_ignored(older):
    connection, leave = older.opened("/receives")
    older.wait_event(path="receives", state="running")
    leave()
    event = older.wait_event(path="receives", state="over")
    assert event["got"][-1] == event["again"] == "http.disconnect" and event["error"] is None
    connection.close()


def test_older_endless_stream_that_does_not_listen_is_cancelled(older):
    connection, leave = older.opened("/streams?tag=older")
    older.wait_event(path="streams", state="running")
    leave()
    event = older.wait_event(path="streams", state="over", tag="older")
    assert event["error"] == [False, "CancelledError"]
    connection.close()


def test_older_stream_that_ends_after_the_loss_is_no_fault(older):
    connection, leave = older.opened("/ends_later")
    older.wait_event(path="ends_later", state="running")
    leave()
    event = older.wait_event(path="ends_later", state="over")
    assert event["error"] is None and event["turns"] > 0
    connection.close()


def test_older_listener_beside_a_stream_hears_the_disconnect(older):
    connection, leave = older.opened("/streams_and_listens")
    older.wait_event(path="streams_and_listens", state="running")
    leave()
    older.wait_event(path="streams_and_listens", state="over")
    connection.close()


RAW = b"POST /receives HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("at", range(0, len(RAW) + 1, 4))
def test_reset_at_any_byte(server, at):
    with server.connect() as c:
        c.send(RAW[:at])
        c.reset()
    assert server.get("/ok").body == b"ok"
