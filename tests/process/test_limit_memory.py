# SPDX-License-Identifier: BSD-3-Clause
"""http.limit_memory: what clients can make a worker keep is bounded, however they go about it: by many connections, each within
every limit of its own. The floods would make it keep ten times as much and more. Others are served meanwhile, and the system has
the memory back when they are over."""

import contextlib
import socket
import struct
import zlib

import pytest

pytest.importorskip("hpack")

from lib.client import Conn  # noqa: E402
from lib.h2 import H2  # noqa: E402
from lib.h2frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,  # noqa: E402
                          INITIAL_WINDOW, PREFACE, RST_STREAM, SETTINGS, frame, settings)
from lib.procfs import memory_kb, sanitized  # noqa: E402
from lib.server import Server  # noqa: E402
from lib.waiting import wait_for  # noqa: E402
from lib.ws import BINARY, CONT, TEXT, WS, handshake  # noqa: E402
from lib.ws import frame as ws_frame  # noqa: E402

MB = 1024
LIMIT = 16
CONFIG = {
    "http": {"limit_memory": f"{LIMIT}m", "header_timeout": "10m", "body_timeout": "10m", "write_timeout": "10m", "keepalive": "10m"},
    "websocket": {"max_message_size": "2m", "ping_interval": "1h"},
    "server": {"worker_connections": 4000, "graceful_timeout": "1s"},
}
# A limit is of bytes that are counted; what the application makes of them, and the connections themselves, come on top.
MOST = 3 * LIMIT * MB
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


def compressed_heads(flood):
    """A field of 3.9 KB, once, and then one byte for each further copy of it."""
    for _ in range(60):
        c = flood.connect()
        data = PREFACE + frame(SETTINGS)
        data += frame(HEADERS, END_HEADERS | END_STREAM, 1, GET_STUBBORN + literal(b"x", b"v" * 3900))
        for stream in range(3, 200, 2):
            data += frame(HEADERS, END_HEADERS | END_STREAM, stream, GET_STUBBORN + b"\xbe" * 15)
        send(c, data)


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


def heads(flood):
    """Of HTTP/1, one byte short of their end."""
    for _ in range(3000):
        send(flood.connect(), b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"v" * 8000) for i in range(7)))


def requests_that_wait(flood):
    for _ in range(3000):
        fields = b"".join(b"X-%d: %s\r\n" % (i, b"v" * 8000) for i in range(7))
        send(flood.connect(), b"GET /stubborn HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")


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
