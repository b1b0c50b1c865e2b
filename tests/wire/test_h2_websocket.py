# SPDX-License-Identifier: BSD-3-Clause
"""WebSockets over HTTP/2 (RFC 8441): extended CONNECT, and the frames of RFC 6455 inside of DATA."""

import json
import os
import signal

import pytest

from lib import certs, ws as wsconn
from lib.h2 import H2, Answer
from lib.h2frames import (CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW, NO_ERROR, PROTOCOL_ERROR,
                          frame)
from lib.server import Server
from lib.waiting import wait_for

FIELDS = [("sec-websocket-version", "13")]


class Inside:
    """What wsconn.WS needs of a connection: bytes of one stream."""

    def __init__(self, h, stream):
        self.h, self.stream, self.buffer, self.used = h, stream, b"", 0

    def send(self, data):
        self.h.data(self.stream, data)

    def take(self, n):
        a = self.h.answers[self.stream]
        self.h.until(lambda: len(a.body) - self.used >= n or a.ended or a.reset is not None)
        found = a.body[self.used:self.used + n]
        self.used += len(found)
        assert len(found) == n, f"the stream ended: {found!r}"
        return found

    def frame(self):
        """(opcode, payload, fin, rsv) of the next frame."""
        head = self.take(2)
        n = head[1] & 127
        assert not head[1] & 128
        if n == 126:
            n = int.from_bytes(self.take(2), "big")
        elif n == 127:
            n = int.from_bytes(self.take(8), "big")
        return head[0] & 15, self.take(n), bool(head[0] & 128), head[0] >> 4 & 7


@pytest.fixture
def connect(serve):
    conns = []

    def connected(path="/echo", headers=FIELDS, config=None, server=None, protocol="websocket", h=None, **options):
        if h is None:
            server = server or serve("websockets", config, flags="h2c")
            h = H2(server.connect())
            h.server = server
            conns.append(h)
        h.ping()
        stream = h.open(h.head("CONNECT", path, headers, more=[(":protocol", protocol)], **options), end=False)
        a = h.answers[stream]
        h.until(lambda: a.headers or a.reset is not None)
        return Inside(h, stream), a
    yield connected
    for h in conns:
        h.conn.close()


def test_echo(connect):
    ws, a = connect()
    assert a.status == 200 and a.get("sec-websocket-accept") is None and a.get("content-length") is None
    ws.send(wsconn.frame(wsconn.TEXT, "hello"))
    assert ws.frame() == (wsconn.TEXT, b"hello", True, 0)
    ws.send(wsconn.frame(wsconn.BINARY, b"\0" * 40000))
    assert ws.frame()[1] == b"\0" * 40000


def test_close(connect):
    ws, a = connect()
    ws.send(wsconn.frame(wsconn.CLOSE, wsconn.close_payload(1000)))
    assert ws.frame()[:2] == (wsconn.CLOSE, b"\x03\xe8")
    ws.h.data(ws.stream, b"", end=True)
    ws.h.until(lambda: a.ended)
    assert ws.h.get("/hello").status == 200


def test_end_of_the_stream_is_the_end(connect):
    ws, _ = connect("/events?id=h2end")
    ws.h.data(ws.stream, b"", end=True)
    ws.h.answer(ws.stream)
    got = json.loads(ws.h.get("/report?id=h2end").body)
    assert got[-1]["type"] == "websocket.disconnect" and got[-1]["code"] == 1006


def test_reset_is_the_end(connect):
    ws, _ = connect("/events?id=h2reset")
    ws.h.reset(ws.stream)
    ws.h.ping()
    got = json.loads(ws.h.get("/report?id=h2reset").body)
    assert got[-1]["type"] == "websocket.disconnect" and got[-1]["code"] == 1006


def test_scope(connect):
    ws, _ = connect("/show?x=1", FIELDS + [("sec-websocket-protocol", "a, b"), ("origin", "http://o")])
    scope = json.loads(ws.frame()[1])
    assert scope["type"] == "websocket" and scope["http_version"] == "2" and scope["scheme"] == "ws"
    assert scope["path"] == "/show" and scope["query_string"] == "x=1" and scope["subprotocols"] == ["a", "b"]
    assert scope["headers"][0] == ["host", "test"] and "method" not in scope


def test_subprotocol_and_fields(connect):
    _, a = connect("/chosen?subprotocol=b", FIELDS + [("sec-websocket-protocol", "a, b")])
    assert a.get("sec-websocket-protocol") == "b" and a.get_all("set-cookie") == ["a=1", "b=2"] and a.get("x-one") == "1"


def test_close_before_accept_is_403(connect):
    _, a = connect("/refuse?id=h2")
    assert a.status == 403


def test_denial_response_is_sent(connect):
    ws, a = connect("/deny")
    ws.h.until(lambda: a.ended)
    assert a.status >= 400 and a.body


@pytest.mark.parametrize("headers, protocol, status", [
    ([], "websocket", 400), ([("sec-websocket-version", "12")], "websocket", 400),
    (FIELDS + [("sec-websocket-protocol", "a b")], "websocket", 400), (FIELDS, "connect-udp", 501)])
def test_wrong_handshake_is_refused(connect, headers, protocol, status):
    _, a = connect("/echo", headers, protocol=protocol)
    assert a.status == status


def test_a_connect_that_ends_its_stream_is_refused(connect):
    """END_STREAM is the end of the connection that the request asks for (RFC 8441 5)."""
    ws, _ = connect()
    h = ws.h
    a = h.answer(h.open(h.head("CONNECT", "/events?id=h2ended", FIELDS, more=[(":protocol", "websocket")])))
    assert a.status == 400 and a.ended
    assert json.loads(h.get("/report?id=h2ended").body) == []
    ws.send(wsconn.frame(wsconn.TEXT, "hello"))
    assert ws.frame()[1] == b"hello"


def test_the_end_of_the_stream_before_it_is_accepted_is_the_end(connect):
    """As over TCP: nobody is there to answer."""
    ws, _ = connect()
    h = ws.h
    stream = h.open(h.head("CONNECT", "/held?id=h2early", FIELDS, more=[(":protocol", "websocket")]), end=False)
    h.server.wait_event(path="held", id="h2early")
    h.data(stream, b"", end=True)
    a = h.answers[stream]
    h.until(lambda: a.reset is not None or a.ended)
    assert a.headers is None and a.reset == CANCEL
    seen = wait_for(lambda: json.loads(h.get("/report?id=h2early").body), what="the disconnect to reach the application")
    assert seen[0]["type"] == "websocket.disconnect" and seen[0]["code"] == 1006


def test_the_end_of_the_stream_that_comes_with_the_request_is_the_end(connect):
    """One packet, two frames: the application hears of the request, and that the client has gone."""
    ws, _ = connect()
    h = ws.h
    stream, h.next_id = h.next_id, h.next_id + 2
    a = h.answers[stream] = Answer()
    fields = h.pack(h.head("CONNECT", "/held?id=h2both", FIELDS, more=[(":protocol", "websocket")]))
    h.conn.send(frame(HEADERS, END_HEADERS, stream, fields) + frame(DATA, END_STREAM, stream))
    h.until(lambda: a.reset is not None or a.ended)
    got = wait_for(lambda: json.loads(h.get("/report?id=h2both").body), what="the disconnect to reach the application")
    assert got[0]["type"] == "websocket.disconnect" and got[0]["code"] == 1006


def test_plain_connect_is_refused(connect):
    ws, _ = connect()
    h = ws.h
    a = h.answer(h.open([(":method", "CONNECT"), (":authority", "test:80")], end=False))
    assert a.reset == PROTOCOL_ERROR or a.status == 501


def test_several_on_one_connection(connect):
    one, _ = connect()
    two, _ = connect(h=one.h)
    for ws in (two, one, two):
        ws.send(wsconn.frame(wsconn.TEXT, "to %d" % ws.stream))
        assert ws.frame()[1] == b"to %d" % ws.stream
    assert one.h.get("/hello").status == 200


def test_permessage_deflate(connect):
    import zlib
    ws, a = connect("/echo", FIELDS + [("sec-websocket-extensions", "permessage-deflate")])
    assert a.get("sec-websocket-extensions").startswith("permessage-deflate")
    packer, unpacker = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
    text = b"again and " * 200
    data = (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    ws.send(wsconn.frame(wsconn.TEXT, data, rsv=4))
    opcode, payload, fin, rsv = ws.frame()
    assert rsv == 4 and len(payload) < 200 and unpacker.decompress(payload + b"\0\0\xff\xff") == text


def test_flow_control_reaches_the_application(connect):
    """While the application does not receive, the window of the stream shuts."""
    ws, _ = connect("/deaf?id=h2deaf")
    h, message, sent = ws.h, wsconn.frame(wsconn.BINARY, b"x" * 1000), 0

    def window():
        return 65535 + sum(n for stream, n in h.updates if stream == ws.stream) - sent
    while window() >= len(message):
        ws.send(message)
        sent += len(message)
        if window() < len(message):
            h.ping()
            h.ping()
    assert sent < 1 << 19
    assert h.get("/release?id=h2deaf").status == 200
    h.until(lambda: window() >= len(message))


def test_slow_reader(serve, connect):
    """Output waits for the window of the stream."""
    server = serve("websockets", flags="h2c")
    h = H2(server.connect(), send_settings={INITIAL_WINDOW: 1000})
    h.server = server
    ws, a = connect(h=h)
    ws.send(wsconn.frame(wsconn.BINARY, b"z" * 50000))
    h.until(lambda: len(a.body) == 1000)
    h.ping()
    assert len(a.body) == 1000
    h.update(ws.stream, 1 << 20)
    assert ws.frame()[1] == b"z" * 50000
    h.conn.close()


def test_shutdown_closes_with_1012():
    with Server("websockets", flags="h2c") as s:
        h = H2(s.connect())
        h.ping()
        stream = h.open(h.head("CONNECT", "/echo", FIELDS, more=[(":protocol", "websocket")]), end=False)
        a = h.answers[stream]
        h.until(lambda: a.headers)
        ws = Inside(h, stream)
        s.signal(signal.SIGTERM)
        assert ws.frame()[:2] == (wsconn.CLOSE, b"\x03\xf4")
        ws.send(wsconn.frame(wsconn.CLOSE, b"\x03\xf4"))
        assert h.read_to_end() == NO_ERROR
        assert a.ended


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_vanishes_leaves_nothing(connect, tls):
    """FIN with a WebSocket open: END_STREAM never comes, and the connection ends all the same."""
    with Server("websockets", flags="h2c", **({"tls": {}} if tls else {})) as s:
        worker, = s.workers()
        assert s.get("/hello").status == 200
        before = wait_for(lambda: len(os.listdir(f"/proc/{worker}/fd")))
        for _ in range(5):
            h = H2(s.connect(context=certs.context(alpn=("h2",))) if tls else s.connect())
            h.server = s
            ws, _ = connect("/echo", h=h)
            ws.send(wsconn.frame(wsconn.TEXT, "hello"))
            assert ws.frame()[1] == b"hello"
            h.conn.close()
        wait_for(lambda: len(os.listdir(f"/proc/{worker}/fd")) <= before, what="the connections to end")
