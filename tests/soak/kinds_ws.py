# SPDX-License-Identifier: BSD-3-Clause
"""The soak's WebSocket tasks over HTTP/1.1. Framed gives those over HTTP/2 the same face."""

import json
import zlib

from client import Told
from lib.ws import BINARY, CLOSE, CONT, PING, PONG, TEXT, WS, close_payload, frame

RESTART = 1012
SIZES = [0, 1, 60, 125, 126, 1000, 4000, 65535, 65536, 200_000]


class Socket:
    """A WebSocket whose first message told who answers. `deflate`: what permessage-deflate packs and unpacks with."""

    def __init__(self, c, ws, conn, name):
        self.c, self.ws, self.conn, self.deflate = c, ws, conn, None
        hello = json.loads(self.message()[1])
        assert hello["id"] == name, (hello, name)
        c.of_worker(conn, hello["pid"])

    def frame(self):
        """The next frame that is no ping of the server's; Told when it goes for a restart."""
        while True:
            fin, rsv, opcode, payload = self.ws.read()
            if opcode == CLOSE and int.from_bytes(payload[:2], "big") == RESTART:
                raise Told
            if opcode != PING:
                return fin, rsv, opcode, payload
            self.ws.send(PONG, payload)

    def message(self):
        fin, rsv, opcode, payload = self.frame()
        if rsv == 4 and self.deflate:
            payload = self.deflate.decompress(payload + b"\0\0\xff\xff")
        while not fin:
            fin, _, more, data = self.frame()
            assert more == CONT
            payload += data
        return opcode, payload

    def expect(self, opcode, payload):
        got = self.message()
        assert got == (opcode, payload), (got[0], got[1][:100], len(got[1]), len(payload))

    def close(self):
        """The closing handshake, begun here; messages of others may cross it."""
        self.ws.send(CLOSE, close_payload(1000))
        while self.frame()[2] != CLOSE:
            pass


def open_socket(c, path, fields=(), conn=None):
    name = c.name("w")
    conn = conn or c.connect()
    return Socket(c, WS(conn, f"{path}id={name}", fields), conn, name)


def talk(c, w):
    """Some messages, their echoes, whole, in pieces, with a ping between."""
    for _ in range(c.rng.randint(1, 20)):
        data = c.rng.randbytes(c.rng.choice(SIZES) // 2).hex().encode()
        opcode = c.rng.choice([TEXT, BINARY])
        if c.chance(0.3) and len(data) > 10:
            cut = c.rng.randrange(len(data))
            w.ws.send(opcode, data[:cut], fin=False)
            w.ws.send(PING, b"between")
            w.ws.send(CONT, data[cut:])
            assert w.frame()[2:] == (PONG, b"between")
        else:
            w.ws.send(opcode, data)
        w.expect(opcode, data)
        c.done(kind="(messages)")
    w.close()
    c.done()


def websocket(c):
    talk(c, open_socket(c, "/ws_echo?"))


def websocket_pipelined(c):
    """Many messages on the way at once."""
    w = open_socket(c, "/ws_echo?")
    for _ in range(5):
        sent = [c.rng.randbytes(c.rng.choice([1, 60, 2000])) for _ in range(c.rng.randint(2, 30))]
        w.conn.send(b"".join(frame(BINARY, data) for data in sent))
        for data in sent:
            w.expect(BINARY, data)
        c.done(kind="(messages)")
    w.close()
    c.done()


def websocket_deflate(c):
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    if c.chance(0.5):
        offer += "; server_no_context_takeover; client_no_context_takeover"
    w = open_socket(c, "/ws_echo?", [offer])
    granted = w.ws.response.get("sec-websocket-extensions", "")
    for _ in range(c.rng.randint(1, 10)):
        data = c.rng.randbytes(8).hex().encode() * c.rng.choice([1, 20, 5000])
        pack = zlib.compressobj(wbits=-9)
        w.deflate = zlib.decompressobj(-15) if "server_no" in granted or not w.deflate else w.deflate
        w.ws.send(TEXT, (pack.compress(data) + pack.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=4)
        w.expect(TEXT, data)
        c.done(kind="(messages)")
    w.close()
    c.done()


def broadcast(c):
    """Members of a room in the same worker hear each other, each message once and in order."""
    room = c.name("x")
    members = [open_socket(c, f"/ws_room?room={room}&") for _ in range(c.rng.randint(2, 6))]
    for w in members:
        w.expect(TEXT, b"in")
    for _ in range(5):
        speaker, data = c.rng.choice(members), c.rng.randbytes(20).hex().encode()
        speaker.ws.send(TEXT, data)
        for w in members:
            if w.conn.link.pid == speaker.conn.link.pid:
                w.expect(TEXT, data)
                c.done(kind="(messages)")
    for w in members:
        w.close()
    c.done()


def websocket_vanish(c):
    """Goes away inside a frame, or with messages on the way to it."""
    room = c.rng.choice(["/ws_echo?", "/ws_room?room=v&"])
    w = open_socket(c, room, conn=c.connect(rcvbuf=8192))
    raw = b"".join(frame(BINARY, bytes(n)) for n in (100, 50_000, 300_000, 10))
    try:
        w.conn.send(raw[:c.rng.randint(0, len(raw))])
    except OSError:
        pass
    if c.chance(0.5):
        w.conn.reset()
    c.done()


def websocket_bad(c):
    """Frames that RFC 6455 forbids end the connection, with a code that tells so."""
    w = open_socket(c, "/ws_echo?")
    what, codes = c.rng.choice([((TEXT, b"\xff"), (1007,)), ((3, b""), (1002,)), ((CONT, b"x"), (1002,))])
    w.ws.send(*what)
    fin, rsv, opcode, payload = w.frame()
    assert opcode == CLOSE and int.from_bytes(payload[:2], "big") in codes, (opcode, payload)
    c.done()


def websocket_app_error(c):
    w = open_socket(c, "/ws_fails?")
    fin, rsv, opcode, payload = w.frame()
    assert opcode == CLOSE and payload[:2] == b"\x03\xf3", (opcode, payload)  # 1011
    c.done()


BUSY = [(4, websocket), (2, websocket_pipelined), (2, websocket_deflate), (1, broadcast), (3, websocket_vanish), (1, websocket_bad),
        (1, websocket_app_error)]
