# SPDX-License-Identifier: BSD-3-Clause
"""An HTTP/2 client of raw frames over lib.client.Conn (RFC 9113): sends whatever it is told, right or wrong, and reads strictly.

Fields are packed by python3-hpack, everything else is bytes. Must never answer by itself but for the acknowledgement of
SETTINGS and, unless `windows` is False, the windows that it has used up.
"""

import struct

import pytest

from lib.build import linked_with
from lib.client import Malformed, Truncated
from lib.h2frames import (ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW, LARGE,
                          PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, settings)

hpack = pytest.importorskip("hpack")
if not linked_with("libnghttp2.so"):
    pytest.skip("built without HTTP/2", allow_module_level=True)


class Answer:
    """What came on a stream. `reset`: the code of RST_STREAM; `ended`: END_STREAM came."""

    def __init__(self):
        self.interim, self.headers, self.trailers, self.body, self.ended, self.reset = [], None, None, b"", False, None
        self.frames = []

    def get_all(self, name):
        return [v for k, v in self.headers if k == name]

    def get(self, name, default=None):
        found = self.get_all(name)
        assert len(found) < 2, f"{name} is there {len(found)} times"
        return found[0] if found else default

    @property
    def status(self):
        return int(self.get(":status"))


class H2:
    def __init__(self, conn, *, start=True, send_settings=None, windows=True):
        self.conn, self.windows = conn, windows
        self.packer, self.unpacker = hpack.Encoder(), hpack.Decoder()
        self.answers, self.next_id = {}, 1
        self.begun = None  # flags, stream and bytes of fields that are not whole
        self.settings, self.goaways, self.pongs, self.updates, self.order = None, [], [], [], []
        if start:
            self.conn.send(PREFACE)
            self.send(SETTINGS, 0, 0, settings({INITIAL_WINDOW: LARGE} if send_settings is None else send_settings))
            if windows:
                self.update(0, LARGE - 65535)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    # --- sending ---

    def send(self, kind, flags=0, stream=0, payload=b""):
        self.conn.send(frame(kind, flags, stream, payload))
        return self

    def update(self, stream, n):
        return self.send(WINDOW_UPDATE, 0, stream, struct.pack(">I", n))

    def reset(self, stream, code=CANCEL):
        return self.send(RST_STREAM, 0, stream, struct.pack(">I", code))

    def pack(self, fields):
        return self.packer.encode(fields)

    def head(self, method="GET", path="/", headers=(), *, scheme="http", authority="test", more=()):
        pseudo = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority), *more]
        return [(k, v) for k, v in pseudo if v is not None] + list(headers)

    def request(self, method="GET", path="/", headers=(), *, end=True, **options):
        """Opens a stream; returns its number."""
        return self.open(self.head(method, path, headers, **options), end)

    def open(self, fields, end=True):
        stream, self.next_id = self.next_id, self.next_id + 2
        self.answers[stream] = Answer()
        self.send(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, self.pack(fields))
        return stream

    def data(self, stream, data=b"", end=False):
        for at in range(0, max(len(data), 1), 16384):
            piece = data[at:at + 16384]
            self.send(DATA, END_STREAM if end and at + 16384 >= len(data) else 0, stream, piece)
        return self

    # --- receiving ---

    def _bytes(self, n):
        while len(self.conn.buffer) < n:
            if not self.conn.fill():
                raise Truncated(f"EOF inside a frame, or before one; have {self.conn.buffer[:100]!r}")
        found, self.conn.buffer = self.conn.buffer[:n], self.conn.buffer[n:]
        return found

    def read(self):
        """Takes the next frame in, and returns it as (kind, flags, stream, payload)."""
        head = self._bytes(9)
        n, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
        if n > 16384:
            raise Malformed(f"a frame of {n} bytes")
        payload = self._bytes(n)
        self._take(kind, flags, stream, payload)
        return kind, flags, stream, payload

    def _take(self, kind, flags, stream, payload):
        if (self.begun is not None) != (kind == CONTINUATION) or (self.begun and self.begun[1] != stream):
            raise Malformed("a frame inside of fields, or CONTINUATION of none")
        if kind == SETTINGS and not flags & ACK:
            self.settings = dict(struct.iter_unpack(">HI", payload))
            self.send(SETTINGS, ACK)
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == GOAWAY:
            self.goaways.append(struct.unpack(">II", payload[:8]))
        elif kind == WINDOW_UPDATE:
            self.updates.append((stream, struct.unpack(">I", payload)[0]))
        elif kind == RST_STREAM:
            self.answers[stream].reset = struct.unpack(">I", payload)[0]
        elif kind == DATA:
            self._take_data(flags, stream, payload)
        elif kind == HEADERS:
            self._take_block(flags, stream, payload)
        elif kind == CONTINUATION:
            self._take_block(self.begun[0] | flags, stream, self.begun[2] + payload)

    def _take_block(self, flags, stream, block):
        whole = flags & END_HEADERS
        self.begun = None if whole else (flags, stream, block)
        if whole:
            self._take_fields(flags, stream, block)

    def _take_data(self, flags, stream, payload):
        a = self.answers[stream]
        if a.headers is None or a.ended:
            raise Malformed("DATA out of place")
        a.body += payload
        a.frames.append(len(payload))
        a.ended = bool(flags & END_STREAM)
        self.order.append(stream)
        if self.windows and payload:
            self.update(0, len(payload))

    def _take_fields(self, flags, stream, payload):
        a = self.answers[stream]
        if a.ended:
            raise Malformed("HEADERS out of place")
        fields = [(k.decode() if isinstance(k, bytes) else k, v.decode("latin-1") if isinstance(v, bytes) else v)
                  for k, v in self.unpacker.decode(payload, raw=True)]
        a.ended = bool(flags & END_STREAM)
        if any(k != k.lower() or k in ("connection", "keep-alive", "transfer-encoding", "upgrade") for k, _ in fields):
            raise Malformed(f"fields that HTTP/2 does not have: {fields}")
        if a.headers is not None:
            a.trailers = fields
        elif dict(fields)[":status"].startswith("1"):
            a.interim.append(fields)
        else:
            a.headers = fields

    def until(self, done):
        while not done():
            self.read()
        return self

    def answer(self, stream):
        """Reads until the stream has ended, one way or the other."""
        a = self.answers[stream]
        self.until(lambda: a.ended or a.reset is not None)
        return a

    def get(self, path="/", **options):
        return self.answer(self.request("GET", path, **options))

    def post(self, path, body, headers=(), **options):
        stream = self.request("POST", path, headers, end=False, **options)
        self.data(stream, body, end=True)
        return self.answer(stream)

    def ping(self, text=b"12345678"):
        """A round trip: what was sent before has been worked off."""
        n = len(self.pongs)
        self.send(PING, 0, 0, text)
        self.until(lambda: len(self.pongs) > n)
        assert self.pongs[-1] == text
        return self

    def read_to_end(self):
        """Everything up to the end of the connection; returns the code of the last GOAWAY, None without one."""
        try:
            while True:
                self.read()
        except Truncated:
            assert not self.conn.buffer
        except (ConnectionResetError, BrokenPipeError):
            pass
        return self.goaways[-1][1] if self.goaways else None
