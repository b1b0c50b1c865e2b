# SPDX-License-Identifier: BSD-3-Clause
"""WebSockets of WSGI applications and [http] max_inflight, max_queue and request_timeout, as test_websocket_admission.py has it for
ASGI: an opening handshake is a request and counts until it is answered; an open WebSocket is a connection, with a thread."""

import select

import pytest

from lib.server import Server
from lib.ws import TEXT, WS, handshake


def server_with(threads=8, **http):
    return Server("apps.wsgi_socket:app", {"http": http, "app": {"threads": threads}}, allow=["Traceback"])


def held_handshake(server, c):
    c.send(handshake("/waits"))
    server.wait_event(path="waits", state="running")


def test_open_ones_are_not_counted():
    with server_with(max_inflight=1, max_queue=1) as s:
        members = [WS(s.connect(), "/echo") for _ in range(5)]
        assert s.get("/refuses").status == 401
        for w in members:
            w.text("x").expect(TEXT, "x").close()


def test_a_handshake_is_counted_until_it_is_answered():
    with server_with(max_inflight=1) as s:
        with s.connect() as held, s.connect() as waits, s.connect() as other:
            held_handshake(s, held)
            waits.send_request("GET", "/refuses")
            other.send(handshake("/echo"))
            waits.expect_no_more()
            other.expect_no_more()
            held.reset()
            assert waits.read_response().status == 401 and other.read_response().status == 101


@pytest.mark.parametrize("path, status", [("/refuses", 401), ("/writes_nonsense", 500), ("/stops_without_a_word", 500)])
def test_refused_ones_give_their_place_back(path, status):
    with server_with(max_inflight=1, threads=1) as s:
        for _ in range(3):
            with s.connect() as c:
                c.send(handshake(path))
                assert c.read_response().status == status
        assert s.get("/refuses").status == 401


def test_a_full_queue_refuses_the_handshake():
    with server_with(max_inflight=1, max_queue=1) as s:
        with s.connect() as held, s.connect() as waits, s.connect() as late:
            held_handshake(s, held)
            waits.send_request("GET", "/refuses")
            waits.expect_no_more()
            late.send(handshake("/echo"))
            ready = select.select([waits.socket, late.socket], [], [], late.timeout)[0]
            refused = (late if late.socket in ready else waits).read_response()
            assert refused.status == 503 and int(refused.get("retry-after")) >= 1
            held.reset()


def test_request_timeout_is_for_the_handshake_alone():
    with server_with(request_timeout="300ms") as s:
        with WS(s.connect(), "/echo") as w, s.connect() as held:
            held_handshake(s, held)
            assert held.read_response().status == 504
            w.text("still here").expect(TEXT, "still here").close()


def test_open_ones_take_the_threads_that_they_have():
    """Each open one has a thread to itself, as with gunicorn: what comes when all are taken waits, and is answered once one ends."""
    with server_with(threads=2) as s:
        first, second = WS(s.connect(), "/echo"), WS(s.connect(), "/echo")
        with s.connect() as c:
            c.send_request("GET", "/refuses")
            c.expect_no_more()
            first.text("x").expect(TEXT, "x").close()
            assert c.read_response().status == 401
        second.text("x").expect(TEXT, "x").close()
