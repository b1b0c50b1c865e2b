# SPDX-License-Identifier: BSD-3-Clause
"""http.limit_memory: what clients can make a worker keep is bounded, however they go about it: by many connections, each within
every limit of its own. The floods would make it keep ten times as much and more. Others are served meanwhile, and the system has
the memory back when they are over."""

import contextlib
import select
import socket
import zlib

import pytest

pytest.importorskip("hpack")

from lib.h2 import H2  # noqa: E402
from lib.h2frames import (DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW, PING,  # noqa: E402
                          PREFACE, RST_STREAM, SETTINGS, frame, settings)
from lib.procfs import memory_kb, sanitized  # noqa: E402
from lib.server import Server  # noqa: E402
from lib.waiting import wait_for  # noqa: E402
from lib.ws import BINARY, TEXT, WS  # noqa: E402
from lib.ws import frame as ws_frame  # noqa: E402

MB = 1024
LIMIT = 16
CONFIG = {
    "http": {"limit_memory": f"{LIMIT}m", "header_timeout": "10m", "body_timeout": "10m", "write_timeout": "10m", "keepalive": "10m"},
    "websocket": {"max_message_size": "2m", "ping_interval": "1h"},
    "server": {"worker_connections": 4000, "graceful_timeout": "1s"},
}
# A limit is of bytes that are counted; what the application makes of them, and the connections themselves, come on top.
MOST = 4 * LIMIT * MB
DEFLATE = ["Sec-WebSocket-Extensions: permessage-deflate"]


def send(c, data):
    """What the server takes of it; it may have ended the connection."""
    with contextlib.suppress(OSError):
        c.socket.settimeout(5)
        c.socket.sendall(data)


class Flood:
    """Connections that stay; `lost` counts those that the server ended by itself."""

    def __init__(self, server):
        self.server, self.conns = server, []

    def connect(self, **options):
        self.conns.append(self.server.connect(**options))
        return self.conns[-1]

    def close(self):
        for c in self.conns:
            with contextlib.suppress(OSError):
                c.reset()


def literal(name, value):
    """With incremental indexing (RFC 7541 6.2.1), not Huffman-coded."""
    def string(s):
        n = len(s)
        return (bytes([n]) if n < 127 else bytes([127]) + varint(n - 127)) + s
    return b"\x40" + string(name) + string(value)


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


GET_STUBBORN = b"\x82\x86" + b"\x04\x09/stubborn" + b"\x01\x04test"
POST_STUBBORN = b"\x83\x86" + b"\x04\x09/stubborn" + b"\x01\x04test"


def heads_of(n, fields=GET_STUBBORN):
    """The first bytes of a connection with n requests."""
    data = PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS | END_STREAM, 1, fields + literal(b"x", b"v" * 3900))
    return data + b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, fields + b"\xbe" * 15) for i in range(1, n))


def compressed_heads(flood):
    """A field of 3.9 KB, once, and then one byte for each further copy of it."""
    for _ in range(60):
        send(flood.connect(), heads_of(100))


def heads_without_end(flood):
    """As many copies, in a block of fields that does not end."""
    for _ in range(2000):
        c = flood.connect()
        send(c, PREFACE + frame(SETTINGS) + frame(HEADERS, END_STREAM, 1, GET_STUBBORN + literal(b"x", b"v" * 3900) + b"\xbe" * 15))


def bodies_in_windows(flood):
    for _ in range(200):
        c = flood.connect()
        data = PREFACE + frame(SETTINGS)
        for stream in range(1, 33, 2):
            data += frame(HEADERS, END_HEADERS, stream, POST_STUBBORN)
            data += b"".join(frame(DATA, 0, stream, bytes(16384)) for _ in range(3))
        send(c, data)


def answers_in_streams(flood):
    for _ in range(60):
        c = flood.connect(rcvbuf=4096)
        data = PREFACE + frame(SETTINGS, 0, 0, settings({INITIAL_WINDOW: 1 << 16}))
        for stream in range(1, 100, 2):
            data += frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x82\x86\x04\x0a/large_own\x01\x04test")
        send(c, data)


LARGE_HEAD = b"GET /stubborn HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"v" * 8000) for i in range(7))


def heads(flood):
    """Of HTTP/1, two bytes short of their end."""
    for _ in range(3000):
        send(flood.connect(), LARGE_HEAD)


def requests_that_wait(flood):
    for _ in range(3000):
        send(flood.connect(), LARGE_HEAD + b"\r\n")


def pipelines(flood):
    for _ in range(2000):
        send(flood.connect(), b"GET /stubborn HTTP/1.1\r\nHost: a\r\n\r\n" * 1600)


def bodies(flood):
    for _ in range(2500):
        send(flood.connect(), b"POST /stubborn HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(65536))


def answers(flood):
    for _ in range(300):
        send(flood.connect(rcvbuf=4096), b"GET /large_own HTTP/1.1\r\nHost: a\r\n\r\n")


def deflated(text, n):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    return z.compress(text * n) + z.flush(zlib.Z_SYNC_FLUSH)


def upgrade(flood, fields=DEFLATE):
    c = flood.connect()
    with contextlib.suppress(OSError, AssertionError):
        return WS(c, "/stubborn", fields)
    return None


def messages_in_pieces(flood):
    piece = deflated(b"v", 1900000)
    for _ in range(150):
        w = upgrade(flood)
        if w:
            send(w.conn, ws_frame(BINARY, piece, fin=False, rsv=4))


def messages_not_taken(flood):
    piece = deflated(b"v", 400000)[:-4]
    for _ in range(150):
        w = upgrade(flood)
        if w:
            for _ in range(4):
                send(w.conn, ws_frame(BINARY, piece, rsv=4))


def wide_text_not_taken(flood):
    """Python keeps four bytes for each character of a text with one that needs them."""
    piece = "v".encode() * 499000 + "\U0001f600".encode()
    for _ in range(150):
        w = upgrade(flood, [])
        if w:
            send(w.conn, ws_frame(TEXT, piece))


def messages_of_those_who_have_gone(flood):
    """The application may still take what they sent."""
    piece = deflated(b"v", 1900000)[:-4]
    for _ in range(150):
        w = upgrade(flood)
        if w:
            send(w.conn, ws_frame(BINARY, piece, rsv=4))
            with contextlib.suppress(OSError):
                w.conn.socket.shutdown(socket.SHUT_RDWR)


FLOODS = [compressed_heads, heads_without_end, bodies_in_windows, answers_in_streams, heads, requests_that_wait, pipelines, bodies, answers,
          messages_in_pieces, messages_not_taken, wide_text_not_taken, messages_of_those_who_have_gone]


def settle(server):
    """One of each, so that what a worker needs once is there."""
    with server.connect() as c:
        assert c.request("GET", "/small").status == 200
    with H2(server.connect()) as h:
        assert len(h.get("/large").body) == 1 << 20


@pytest.fixture
def server():
    with Server("floods", CONFIG, flags="h2c", allow={"WARNING"}) as s:
        settle(s)
        yield s


@pytest.mark.parametrize("attack", FLOODS, ids=lambda f: f.__name__)
def test_a_flood_is_bounded_and_its_memory_given_back(server, attack):
    worker, = server.workers()
    before = memory_kb(worker)
    flood = Flood(server)
    try:
        attack(flood)
        assert server.get("/small").body == b"small"
        assert len(server.get("/drip?n=5").body) == 40  # which takes some turns
        grown = memory_kb(worker, "VmHWM") - before
        print(f"{attack.__name__}: {grown / MB:.0f} MB")
        if not sanitized(worker):
            assert grown < MOST
    finally:
        flood.close()
    assert server.get("/open_gate").status == 200
    if not sanitized(worker):
        wait_for(lambda: server.get("/open_gate").status == 200 and memory_kb(worker) - before < LIMIT * MB,
                 what="memory to be given back to the system")
    print(f"after: {(memory_kb(worker) - before) / MB:.0f} MB")


def test_answers_over_tls():
    """What the socket does not take is kept by the transport, too."""
    with Server("floods", CONFIG, tls=True, allow={"WARNING"}) as s:
        assert s.get("/large").status == 200
        worker, = s.workers()
        before, flood = memory_kb(worker), Flood(s)
        try:
            answers(flood)
            assert s.get("/small").body == b"small"
            if not sanitized(worker):
                assert memory_kb(worker, "VmHWM") - before < MOST
        finally:
            flood.close()


def test_bodies_that_wait_for_a_thread_of_wsgi(tmp_path):
    with Server("wsgi_gate", CONFIG, env={"GATE": str(tmp_path / "gate")}, allow={"WARNING"}) as s:
        worker, = s.workers()
        before, flood = memory_kb(worker), Flood(s)
        try:
            for _ in range(2500):
                send(flood.connect(), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + bytes(60000))
            (tmp_path / "gate").touch()
            assert s.get("/").body == b"open"
            if not sanitized(worker):
                assert memory_kb(worker, "VmHWM") - before < MOST
        finally:
            (tmp_path / "gate").touch()
            flood.close()


# --- the protocol's own words ---

def answered(flood, add):
    """Calls add() until one of the connections has something to read, and returns that."""
    for _ in range(3000):
        add()
        readable = select.select([c.socket for c in flood.conns], [], [], 0)[0]
        if readable:
            return next(c for c in flood.conns if c.socket is readable[0])
    pytest.fail("nobody was refused")


@pytest.fixture
def flood(server):
    f = Flood(server)
    yield f
    f.close()


def test_a_head_is_refused_with_431(flood):
    c = answered(flood, lambda: send(flood.connect(), LARGE_HEAD))
    assert c.read_response().status == 431
    c.expect_close()


def test_a_request_is_refused_with_503(flood):
    """Before the application begins, or while it runs: it has not answered."""
    c = answered(flood, lambda: send(flood.connect(), LARGE_HEAD + b"\r\n"))
    assert c.read_response().status == 503
    c.expect_close()


def test_a_message_is_refused_with_1009(flood):
    piece = ws_frame(BINARY, deflated(b"v", 1900000), fin=False, rsv=4)
    sessions = {}

    def add():
        w = WS(flood.connect(), "/stubborn", DEFLATE)
        sessions[w.conn] = w
        send(w.conn, piece)
    sessions[answered(flood, add)].expect_close(1009)


def test_a_stream_beyond_the_share_of_its_connection_is_refused(server):
    """RST_STREAM with ENHANCE_YOUR_CALM; those before it, and the connection, go on."""
    with H2(server.connect(), start=False) as h:
        h.conn.send(heads_of(60))
        resets = {}
        h._take, plain = (lambda kind, flags, stream, payload: resets.setdefault(stream, payload) if kind == RST_STREAM else None), h._take
        for _ in range(2):  # an answer to a PING overtakes other frames
            h.send(PING, 0, 0, b"12345678")
            while h.read()[0] != PING:
                pass
        h._take = plain
        assert 10 < len(resets) < 59 and set(resets.values()) == {ENHANCE_YOUR_CALM.to_bytes(4, "big")}
        assert 1 not in resets


def test_the_largest_connections_end_when_others_need_the_room(flood):
    """GOAWAY with ENHANCE_YOUR_CALM."""
    def add():
        c = flood.connect()
        send(c, heads_of(15))
        c.read_exactly(9)  # the head of our SETTINGS; the rest is left
        h = H2(c, start=False)
        c.buffer = b""
        c.h2 = h
        while select.select([c.socket], [], [], 0)[0] and c.fill():
            c.buffer = b""
    c = answered(flood, add)
    assert c.h2.read_to_end() in (ENHANCE_YOUR_CALM, None)


# --- who is not concerned ---

def test_the_same_bytes_for_many_slow_clients_are_counted_once(server):
    """A cached body of 1 MB on its way to 64 clients is four times the limit, and 1 MB."""
    conns = [server.connect(rcvbuf=4096) for _ in range(64)]
    try:
        for c in conns:
            c.send_request("GET", "/large")
        assert server.get("/small").body == b"small"
        for c in conns:
            assert len(c.read_response().body) == 1 << 20
    finally:
        for c in conns:
            c.close()


def test_the_log_says_it_once(server, flood):
    requests_that_wait(flood)
    server.wait_log("http.limit_memory is reached")
    assert server.log().count("http.limit_memory is reached") < 4
