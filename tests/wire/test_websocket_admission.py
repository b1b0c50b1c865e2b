# SPDX-License-Identifier: BSD-3-Clause
"""WebSockets and [http] max_inflight, max_queue and request_timeout: an opening handshake is a request and counts until it is
accepted or refused; an open WebSocket is a connection and does not."""

import select
import uuid

import pytest

from lib.server import Server
from lib.ws import TEXT, WS, engines, handshake


@pytest.fixture(params=engines())
def engine(request):
    return request.param


@pytest.fixture
def name():
    return uuid.uuid4().hex


def server_with(engine, **http):
    return Server("websockets", {"http": http, "websocket": {"engine": engine}}, allow=["Traceback"])


def test_open_ones_are_not_counted(engine):
    with server_with(engine, max_inflight=1, max_queue=1) as s:
        members = [WS(s.connect(), "/echo") for _ in range(5)]
        assert s.get("/hello").body == b"Hello"
        for w in members:
            w.text("x").expect(TEXT, "x").close()


def test_a_handshake_is_counted_until_it_is_accepted(engine, name):
    with server_with(engine, max_inflight=1) as s:
        with s.connect() as held, s.connect() as waits, s.connect() as other:
            held.send(handshake(f"/held?id={name}"))
            s.wait_event(path="held", id=name)
            waits.send_request("GET", f"/release?id={name}")
            other.send(handshake("/echo"))
            # The request that would let the first in stands behind it: only its end can.
            waits.expect_no_more()
            other.expect_no_more()
            held.reset()
            assert waits.read_response().body == b"released" and other.read_response().status == 101


def test_refused_ones_give_their_place_back(engine):
    with server_with(engine, max_inflight=1) as s:
        for path, status in [("/refuse", 403), ("/deny", 401), ("/returns", 500), ("/raises", 500)] * 2:
            with s.connect() as c:
                c.send(handshake(path))
                assert c.read_response().status == status
        assert s.get("/hello").body == b"Hello"


def test_a_full_queue_refuses_the_handshake(engine, name):
    with server_with(engine, max_inflight=1, max_queue=1) as s:
        with s.connect() as held, s.connect() as waits, s.connect() as late:
            held.send(handshake(f"/held?id={name}"))
            s.wait_event(path="held", id=name)
            waits.send_request("GET", "/hello")
            waits.expect_no_more()
            late.send(handshake("/echo"))
            # They are connections of their own, so either may be the one that came too late.
            ready = select.select([waits.socket, late.socket], [], [], late.timeout)[0]
            refused = (late if late.socket in ready else waits).read_response()
            assert refused.status == 503 and int(refused.get("retry-after")) >= 1
            held.reset()


def test_request_timeout_is_for_the_handshake_alone(engine, name):
    with server_with(engine, request_timeout="300ms") as s:
        with WS(s.connect(), "/echo") as w, s.connect() as held:
            held.send(handshake(f"/held?id={name}"))
            assert held.read_response().status == 504
            w.text("still here").expect(TEXT, "still here").close()
