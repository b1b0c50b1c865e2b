# SPDX-License-Identifier: BSD-3-Clause
"""A client that goes away after every byte of what it had to say, with FIN and with RST: the server lives, every call of the
application that began ends, and no descriptor is left."""

import os
import socket
import ssl
import struct

import pytest

from lib import certs
from lib.tls import HandTLS
from lib.waiting import DEADLINE, wait_for
from lib.ws import CLOSE, PING, TEXT, close_payload, frame, handshake

COUNTED = b"POST /counted HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n0123456789"
EXPECTS = COUNTED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
CHUNKED = (b"POST /chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"5;a=\"b\"\r\n01234\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n")
WEBSOCKET = (handshake("/ws") + frame(TEXT, "hello") + frame(PING, b"p") + frame(TEXT, "a", fin=False) + frame(0, "b" * 130) +
             frame(CLOSE, close_payload(1000, "bye")))
DEFLATED = handshake("/ws", ["Sec-WebSocket-Extensions: permessage-deflate"]) + frame(TEXT, b"\xf2H\xcd\xc9\xc9\x07\x00", rsv=4)
SAID = {
    "counted": COUNTED, "expects": EXPECTS, "chunked": CHUNKED, "websocket": WEBSOCKET, "deflated": DEFLATED,
    "pipelined": COUNTED + CHUNKED + COUNTED,
}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def fin(s):
    s.close()


def half(s):
    """FIN, while the other direction is read to its end."""
    s.shutdown(socket.SHUT_WR)
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass
    s.close()


def rst(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def dial(address):
    s = socket.create_connection(address, DEADLINE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def counts(server):
    return server.get("/counts").json()


def all_ended(server):
    """Every call has ended; how many of them heard of a disconnect, or none while some go on."""
    now = counts(server)
    return now if now["http"] + now["websocket"] == now["whole"] + now["disconnect"] + now["error"] else None


class Watched:
    """What must be as before when everything is over."""

    def __init__(self, server):
        self.server = server
        self.worker, = server.workers()
        counts(server)
        self.base, self.before = descriptors(self.worker), counts(server)

    def settled(self):
        """How much each count has grown, once all is quiet."""
        now = wait_for(lambda: all_ended(self.server), what=f"calls to end: {counts(self.server)}")
        wait_for(lambda: descriptors(self.worker) <= self.base, what="descriptors to come down")
        assert self.server.workers() == [self.worker] and now["error"] == 0
        return {key: now[key] - self.before[key] for key in now}


@pytest.fixture
def server(serve):
    """Time-outs long enough to end nothing here."""
    return serve("vanishing", {"http": {"header_timeout": "300s", "body_timeout": "300s", "keepalive": "300s"}})


@pytest.fixture
def secure(serve):
    return serve("vanishing", {"http": {"header_timeout": "300s", "body_timeout": "300s", "keepalive": "300s"}}, tls=True)


@pytest.mark.parametrize("end", [fin, half, rst])
@pytest.mark.parametrize("name", SAID)
def test_after_every_byte(server, name, end):
    raw, watched = SAID[name], Watched(server)
    for n in range(len(raw) + 1):
        s = dial(server.address)
        s.sendall(raw[:n])
        end(s)
    grown = watched.settled()
    began, body = grown["http"] + grown["websocket"], len(raw) - raw.index(b"\r\n\r\n") - 4
    # RST takes away what the server has not read yet. Otherwise whoever has sent a whole head was served.
    assert began >= (0 if end is rst else body)
    assert grown["disconnect"] > 0 or end is rst


@pytest.mark.parametrize("end", [fin, rst])
def test_after_every_byte_when_it_was_read(server, end):
    """The same, with the server known to have read all of it: a body that is not complete is always heard of."""
    raw, watched = CHUNKED, Watched(server)
    head = raw.index(b"\r\n\r\n") + 4
    for n in range(head, len(raw)):
        s = dial(server.address)
        s.sendall(raw[:n])
        counts(server)  # on a connection that came later
        counts(server)
        end(s)
    grown = watched.settled()
    assert grown["http"] == grown["disconnect"] == len(raw) - head and grown["whole"] == 0


@pytest.mark.parametrize("end", [fin, rst])
@pytest.mark.parametrize("name", ["handshake", "request", "websocket"])
def test_after_every_byte_of_tls(secure, name, end):
    """In the handshake, and in records behind it."""
    watched = Watched(secure)
    said = {"handshake": b"", "request": CHUNKED[:120], "websocket": WEBSOCKET}[name]
    for most in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context, n, last = certs.context(most=most), 0, False
        while not last:
            s = dial(secure.address)
            last = vanish(s, said, n, context)
            end(s)
            n += 1 if name == "handshake" else 7
        assert n > 200
    watched.settled()


class Budget(Exception):
    """All bytes that may be sent are sent."""


def vanish(s, said, n, context):
    """Sends n bytes of what a client of TLS would send; True if there were no more."""
    left = n

    def send(data):
        nonlocal left
        s.sendall(data[:left])
        left -= min(left, len(data))
        if not left:
            raise Budget
    hand = HandTLS(Received(s), context)
    try:
        hand.handshake(send)
        hand.tls.write(said)
        send(hand.outward.read())
    except Budget:
        return False
    return True


class Received:
    """What HandTLS asks of a connection."""

    def __init__(self, s):
        self.socket, self.buffer = s, b""

    def fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)
