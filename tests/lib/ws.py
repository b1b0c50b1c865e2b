# SPDX-License-Identifier: BSD-3-Clause
"""A WebSocket client of raw frames over lib.client.Conn: sends whatever it is told, right or wrong, and reads strictly (RFC 6455).

Standard library only. Must never answer by itself: no pong, no Close.
"""

import base64
import hashlib
import os
import struct

from lib.build import linked_with

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def engines():
    """What [websocket] engine may be, in this build."""
    return ["wslay", "libwebsockets"] if linked_with("libwebsockets.so") else ["wslay"]


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def handshake(path="/", fields=(), key=KEY, version="13", host="test"):
    """Bytes of an opening handshake; None leaves a field out."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    if key is not None:
        lines.append(f"Sec-WebSocket-Key: {key}")
    if version is not None:
        lines.append(f"Sec-WebSocket-Version: {version}")
    return ("\r\n".join([*lines, *fields]) + "\r\n\r\n").encode("latin-1")


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=b"\x37\xfa\x21\x3d", length=None):
    """Bytes of a frame. mask=None: unmasked; length: 2, 4 or 10 bytes of header whatever the payload needs."""
    payload = payload.encode() if isinstance(payload, str) else payload
    n = len(payload)
    if length is None:
        length = 2 if n < 126 else 4 if n < 65536 else 10
    bit = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    head += bytes([bit | n]) if length == 2 else struct.pack(">BH", bit | 126, n) if length == 4 else \
        struct.pack(">BQ", bit | 127, n)
    if mask is None:
        return head + payload
    pad = (mask * (n // 4 + 1))[:n]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(n, "big")


def close_payload(code, reason=""):
    return struct.pack(">H", code) + reason.encode()


class WS:
    """An open WebSocket; as a context manager it closes the socket without a word."""

    def __init__(self, conn, path="/", fields=(), behind=b""):
        self.conn = conn
        conn.send(handshake(path, fields) + behind)
        self.response = conn.read_response()
        assert self.response.status == 101, (self.response, self.response.body)
        assert self.response.get("sec-websocket-accept") == ACCEPT
        assert self.response.get("upgrade").lower() == "websocket"
        assert self.response.get("connection").lower() == "upgrade"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def send(self, opcode, payload=b"", **options):
        self.conn.send(frame(opcode, payload, **options))
        return self

    def text(self, payload):
        return self.send(TEXT, payload)

    def read(self):
        """The next frame as (fin, rsv, opcode, payload); a server's frames are not masked and lengths are the shortest."""
        first, second = self.conn.read_exactly(2)
        assert not second & 0x80, "a server must not mask (RFC 6455 5.1)"
        n = second & 0x7f
        if n == 126:
            n = struct.unpack(">H", self.conn.read_exactly(2))[0]
            assert n > 125
        elif n == 127:
            n = struct.unpack(">Q", self.conn.read_exactly(8))[0]
            assert n > 65535
        return bool(first & 0x80), first >> 4 & 7, first & 15, self.conn.read_exactly(n)

    def expect(self, opcode, payload):
        payload = payload.encode() if isinstance(payload, str) else payload
        got = self.read()
        assert got == (True, 0, opcode, payload), (got[:3], got[3][:200])
        return self

    def read_text(self):
        fin, rsv, opcode, payload = self.read()
        assert fin and not rsv and opcode == TEXT, (fin, rsv, opcode, payload[:100])
        return payload.decode()

    def expect_close(self, code, reason=None, answer=False):
        """A Close frame with this code, then the end of the connection. code=None: without one. answer: sends one back."""
        fin, rsv, opcode, payload = self.read()
        assert fin and not rsv and opcode == CLOSE, (opcode, payload)
        if code is None:
            assert payload == b""
        else:
            assert struct.unpack(">H", payload[:2])[0] == code, payload
            text = payload[2:].decode()
            assert reason is None or text == reason, text
        if answer:
            try:
                self.send(CLOSE, payload)
            except ConnectionError:
                pass
        self.conn.expect_close()

    def close(self, code=1000, reason=""):
        """The closing handshake, begun here."""
        self.send(CLOSE, close_payload(code, reason))
        self.expect_close(code)


def random_key():
    return base64.b64encode(os.urandom(16)).decode()
