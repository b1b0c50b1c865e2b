#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the inputs that the HTTP/2 fuzz target begins with: tests/fuzz/seeds/h2_session.

Each is one byte of options (fuzz_h2_session.c) and the frames of a client behind its preface; python3-hpack packs fields.
"""

import struct
import sys
from pathlib import Path

import hpack

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from lib.h2frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, LARGE, PADDED, PING,
                          PRIORITY, PRIORITY_UPDATE, RST_STREAM, SETTINGS, frame, setting, update)

DEAF, EOF, LEAVE, BY_FIVE, BY_31 = 1, 2, 4, 4 * 8, 30 * 8
BEGIN = frame(SETTINGS) + frame(SETTINGS, ACK)


class Client:
    def __init__(self):
        self.packer, self.next_id, self.raw = hpack.Encoder(), 1, BEGIN

    def add(self, raw):
        self.raw += raw
        return self

    def open(self, path, method="GET", more=(), end=True, pseudo=(), flags=END_HEADERS):
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a"), *pseudo, *more]
        stream, self.next_id = self.next_id, self.next_id + 2
        return self.add(frame(HEADERS, flags | (END_STREAM if end else 0), stream, self.packer.encode(fields)))

    def data(self, stream, data, end=True, padding=None):
        if padding is None:
            return self.add(frame(DATA, END_STREAM if end else 0, stream, data))
        return self.add(frame(DATA, PADDED | (END_STREAM if end else 0), stream, bytes([padding]) + data + bytes(padding)))

    def trailers(self, stream):
        return self.add(frame(HEADERS, END_HEADERS | END_STREAM, stream, self.packer.encode([("x-checksum", "123")])))


def browser():
    c = Client().add(frame(SETTINGS, 0, 0, setting(1, 65536) + setting(4, 6 << 20))).add(update(0, 15 << 20))
    for i in range(4):
        c.open(f"/{i}", more=[("user-agent", "browser"), ("accept", "*/*"), ("cookie", "a=b"), ("cookie", "c=d")])
        c.add(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", 2 * i + 1) + b"u=2, i"))
    return c.raw


def uploads():
    c = Client()
    for _ in range(3):
        c.open("/", "POST", [("content-length", "20"), ("expect", "100-continue")], end=False)
    for stream in (5, 1, 3):
        c.data(stream, b"0123456789", end=False).data(stream, b"abcdefghij")
    return c.raw


def tunnel():
    c = Client().open("/", "CONNECT", [("sec-websocket-version", "13")], end=False, pseudo=[(":protocol", "websocket")])
    return c.data(1, b"\x81\x02hi", end=False).data(1, b"", end=False).data(1, b"bye").raw


def held_windows():
    c = Client().add(frame(SETTINGS, 0, 0, setting(4, 100))).open("/l").open("/p").open("/l")
    return c.add(update(1, 1000)).add(update(0, 1 << 20)).add(frame(SETTINGS, 0, 0, setting(4, 1 << 20))).raw


def continued():
    c = Client()
    block = c.packer.encode([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("x", "y" * 50)])
    return c.raw + frame(HEADERS, END_STREAM, 1, block[:7]) + frame(CONTINUATION, 0, 1, block[7:20]) + \
        frame(CONTINUATION, END_HEADERS, 1, block[20:])


def every_script():
    c = Client()
    for script in "altipehng":
        c.open(f"/{script}", more=[("te", "trailers")])
    return c.raw


SEEDS = {
    "get": Client().open("/").raw,
    "browser": browser(),
    "uploads": uploads(),
    "padded": Client().open("/", "POST", end=False).data(1, b"body", end=False, padding=9).data(1, b"", padding=0).raw,
    "trailers": Client().open("/t", "POST", [("te", "trailers")], end=False).data(1, b"body", end=False).trailers(1).raw,
    "tunnel": tunnel(),
    "held-windows": held_windows(),
    "continued": continued(),
    "scripts": every_script(),
    "early": Client().open("/e", "POST", end=False).data(1, b"late").raw,
    "unread": Client().open("/n", "POST", end=False).data(1, b"x" * 300, end=False).open("/").raw,
    "reset": Client().open("/h").open("/l").add(frame(RST_STREAM, 0, 1, b"\0\0\0\x08")).add(frame(RST_STREAM, 0, 3, b"\0\0\0\x08")).raw,
    "chores": Client().open("/h").add(frame(PING, 0, 0, b"12345678") * 3).add(frame(PRIORITY, 0, 9, b"\0\0\0\1\x10"))
                      .add(frame(0x42, 0, 0, b"x")).add(update(1, 5)).add(frame(GOAWAY, 0, 0, bytes(8))).raw,
    "wrong-length": Client().open("/", "POST", [("content-length", "1")], end=False).data(1, b"12").open("/").raw,
    "overflow": Client().open("/h").add(update(1, LARGE)).open("/").raw,
    "behind-the-end": Client().open("/").data(1, b"x").raw,
    "stream-0": Client().data(0, b"x").raw,
    "too-many": b"".join([Client().raw, *(frame(HEADERS, END_HEADERS, 2 * i + 1, b"\x83\x86\x84\x01\x01a") for i in range(12))]),
    "table-size": BEGIN + frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x20\x3f\xe1\x1f\x82\x86\x84\x01\x01a"),
}


def main():
    lines = ["# Options, and what a client sends behind its preface. Written by h2_seeds.py"]
    for n, (name, raw) in enumerate(SEEDS.items()):
        data = bytes([[BY_FIVE, BY_31, DEAF | BY_31, EOF, LEAVE | BY_FIVE, 0][n % 6]]) + raw
        lines += [f"# {name}", "".join(f"\\x{byte:02x}" for byte in data)]
    (TESTS / "fuzz" / "seeds" / "h2_session").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
