# SPDX-License-Identifier: BSD-3-Clause
"""TERM while requests, uploads, streams, server-sent events and WebSockets are under way, over HTTP/1.1 and HTTP/2, with and
without TLS: they finish, or are cut when graceful_timeout is over; the end is exit status 0 either way."""

import signal
import socket
import struct

import pytest

from lib import certs
from lib.client import Truncated
from lib.h2 import H2
from lib.h2frames import ACK, NO_ERROR, PING
from lib.load import Load
from lib.server import Server
from lib.sockets import free_port
from lib.tls import TLSConn
from lib.waiting import wait_for
from lib.ws import CLOSE, TEXT, WS, close_payload


@pytest.fixture(params=["clear", "tls"])
def place(request, tmp_path):
    """(server not started yet, function that connects, gate): two workers behind one socket that speaks all of it."""
    gate = tmp_path / "gate"
    tls = request.param == "tls"

    def make(**keys):
        s = Server("long", {"server": {"workers": 2, **keys}}, flags="" if tls else "h2c", tls=tls, env={"GATE": str(gate)})

        def connect(http2=False):
            if not tls:
                return s.connect()
            return TLSConn(s.address, context=certs.context(alpn=["h2"] if http2 else ["http/1.1"]))
        return s, connect, gate
    return make


def finish_goodbye(h, stream):
    """Answers the ping by which the server learns that its first GOAWAY has arrived; the end of the stream."""
    a = h.answers[stream]
    while not a.ended and a.reset is None:
        kind, flags, _, payload = h.read()
        if kind == PING and not flags & ACK:
            h.send(PING, ACK, 0, payload)
    return a


def test_they_finish(place):
    s, connect, gate = place(graceful_timeout="60s")
    with s:
        waits, events, upload = connect(), connect(), connect()
        waits.send_request("GET", "/waits")
        events.send_request("GET", "/events")
        upload.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        h = H2(connect(http2=True))
        streams = [h.request(path="/waits"), h.request(path="/events")]
        w = WS(connect(), "/websocket")
        w.text("one").expect(TEXT, "one")
        for path, n in (("waits", 2), ("events", 2), ("upload", 1)):
            for _ in range(n):
                s.wait_event(path=path, state="running")
        s.signal(signal.SIGTERM)
        s.wait_notified(lambda text: "STOPPING=1" in text)
        fin, _, opcode, payload = w.read()
        assert opcode == CLOSE and struct.unpack(">H", payload[:2])[0] == 1012
        w.send(CLOSE, close_payload(1012)).conn.expect_close()
        assert s.wait_event(path="websocket", state="over")["code"] == 1012
        h.until(lambda: h.goaways)
        assert h.goaways[0][1] == NO_ERROR
        assert upload.send("def").read_response().body == b"6"
        gate.touch()
        answer = waits.read_response()
        assert answer.body == b"waited" and answer.closes
        assert events.read_response().body.endswith(b"data: tick\n\ndata: end\n\n")
        for stream, end in zip(streams, (b"waited", b"data: end\n\n")):
            a = finish_goodbye(h, stream)
            assert a.reset is None and a.body.endswith(end)
        assert h.read_to_end() == NO_ERROR
        assert s.wait_exit() == 0
        assert "are left of those in flight" not in s.log()


def test_they_are_cut_at_the_hard_limit(place):
    """Applications are told by CancelledError; one that does not listen is left behind. No answer looks complete."""
    s, connect, gate = place(graceful_timeout="1s")
    with s:
        events, stubborn, deaf = connect(), connect(), WS(connect(), "/websocket")
        events.send_request("GET", "/events?for=ever")
        stubborn.send_request("GET", "/stubborn")
        h = H2(connect(http2=True))
        stream = h.request(path="/events?for=ever")
        for path, n in (("events", 2), ("stubborn", 1), ("websocket", 1)):
            for _ in range(n):
                s.wait_event(path=path, state="running")
        s.signal(signal.SIGTERM)
        with pytest.raises((Truncated, AssertionError)):
            events.read_response()
        for http in ("1.1", "2"):
            assert s.wait_event(path="events", state="over", http=http)["error"] == "CancelledError"
        s.wait_event(path="stubborn", state="asked")
        h.read_to_end()
        assert not h.answers[stream].ended
        assert s.wait_exit() == 0
        assert s.wait_event(path="websocket", state="over")["error"] == "CancelledError", "before its five seconds were over"
        for c in (stubborn, deaf.conn, events):
            c.close()


def test_load_until_the_end():
    """Who is connected is answered; who comes later is refused, and nobody is lost."""
    port = free_port()
    with Server("hello", {"server": {"bind": f"127.0.0.1:{port}", "workers": 2, "drain_delay": "500ms"}}) as s:
        s.wait_notified(lambda text: "STATUS=2 of 2" in text)
        with Load(("127.0.0.1", port), per_connection=20) as load:
            load.more()
            s.signal(signal.SIGTERM)
            assert s.wait_exit() == 0
            wait_for(lambda: load.counts["refused"], what="a refusal")
        # A connection that the kernel makes between the last accept() and close() cannot be told from one that is refused.
        assert set(load.failed) <= {"refused", "lost"} and load.failed.get("lost", 0) <= load.clients, load.failed
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
