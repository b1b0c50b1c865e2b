#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the corpora that the WebSocket fuzz targets begin with: tests/wire/corpora/ws_*.json, in the form of the others there.

A case of ws_frames.json has one byte of options in front of its frames (fuzz_ws_frames.c).
"""

import base64
import json
import sys
import zlib
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from lib.ws import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, frame, handshake

DEFLATE, LATE = 1, 2
ZERO = b"\0\0\0\0"  # mutations of the payload then stay in it


def deflated(data, bits=12, final=False):
    c = zlib.compressobj(wbits=-bits)
    return c.compress(data) + c.flush() if final else (c.compress(data) + c.flush(zlib.Z_SYNC_FLUSH))[:-4]


def plain(opcode, payload=b"", **options):
    return frame(opcode, payload, mask=ZERO, **options)


FRAMES = {
    "accept": {
        "rfc6455-5-7": frame(TEXT, "Hello") + frame(TEXT, "Hel", fin=False) + frame(CONT, "lo") + frame(PING, "Hello"),
        "empty": plain(TEXT) + plain(BINARY) + plain(PING) + plain(PONG),
        "lengths": b"".join(plain(BINARY, bytes(n)) for n in (1, 125, 126, 127, 300, 4096)),
        "utf8": plain(TEXT, "ä€\U0001f600", fin=False) + plain(CONT, b"\xe2", fin=False) + plain(CONT, b"\x82\xac"),
        "control-inside": plain(TEXT, "a", fin=False) + plain(PING, "p") + plain(PONG) + plain(CONT, fin=False) + plain(CONT, "b"),
        "many": b"".join(plain(TEXT, str(i)) for i in range(40)),
        "pings": b"".join(plain(PING, str(i)) for i in range(40)),
        "close": plain(TEXT, "x") + plain(CLOSE, close_payload(3000, "bye")) + plain(TEXT, "late"),
        "close-empty": plain(CLOSE),
    },
    "reject": {
        "unmasked": plain(TEXT, "x") + frame(TEXT, "x", mask=None),
        "rsv": plain(TEXT, "x", rsv=2),
        "rsv1": plain(TEXT, "x", rsv=4),
        "opcode": plain(3, "x"),
        "long-ping": plain(PING, bytes(126)),
        "cut-ping": plain(PING, fin=False),
        "continuation": plain(CONT, "x"),
        "nested": plain(TEXT, "x", fin=False) + plain(BINARY, "y"),
        "length-16": plain(TEXT, "x", length=4),
        "length-64": plain(TEXT, "x", length=10),
        "length-huge": b"\x82\xff\x80\0\0\0\0\0\0\0abcd",
        "too-big": plain(BINARY, bytes(4097)),
        "too-big-in-pieces": plain(BINARY, bytes(3000), fin=False) + plain(CONT, bytes(3000)),
        "bad-utf8": plain(TEXT, b"ok \xf8"),
        "cut-utf8": plain(TEXT, b"\xe2\x82"),
        "close-1": plain(CLOSE, b"x"),
        "close-1005": plain(CLOSE, close_payload(1005)),
        "close-utf8": plain(CLOSE, b"\x03\xe8\xff"),
    },
}
WORDS = b"one two three two one " * 20
COMPRESSED = {
    "accept": {
        "deflate": plain(TEXT, deflated(WORDS), rsv=4) * 2,
        "deflate-pieces": plain(BINARY, deflated(WORDS)[:7], rsv=4, fin=False) + plain(PING) + plain(CONT, deflated(WORDS)[7:]),
        "deflate-plain": plain(TEXT, WORDS) + plain(TEXT, deflated(WORDS), rsv=4) + plain(TEXT, "short"),
        "deflate-empty": plain(TEXT, b"\0", rsv=4) + plain(TEXT, b"", rsv=4),
        "deflate-final": plain(BINARY, deflated(WORDS, final=True) + b"\0", rsv=4) * 2,
        "deflate-stored": plain(BINARY, b"\0\5\0\xfa\xffHello\0", rsv=4),
    },
    "reject": {
        "deflate-bomb": plain(BINARY, deflated(bytes(100000)), rsv=4),
        "deflate-bad": plain(BINARY, b"\xff\xff\xff\xff", rsv=4),
        "deflate-cut": plain(BINARY, deflated(WORDS)[:-3], rsv=4),
        "deflate-utf8": plain(TEXT, deflated(b"\xff" * 200), rsv=4),
        "deflate-rsv1-inside": plain(TEXT, deflated(WORDS)[:5], rsv=4, fin=False) + plain(CONT, deflated(WORDS)[5:], rsv=4),
        "deflate-rsv1-ping": plain(PING, rsv=4),
    },
}
HANDSHAKES = {
    "accept": {
        "sound": handshake(),
        "subprotocols": handshake(fields=["Sec-WebSocket-Protocol: chat, superchat", "Sec-WebSocket-Protocol: a"]),
        "extensions": handshake(fields=["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Origin: http://a"]),
        "connection-list": handshake().replace(b"Connection: Upgrade", b"connection: keep-alive, UPGRADE"),
        "upgrade-list": handshake().replace(b"Upgrade: websocket", b"Upgrade: h2c, WebSocket"),
    },
    "reject": {
        "no-key": handshake(key=None),
        "short-key": handshake(key="dGhlIHNhbXBsZQ=="),
        "two-keys": handshake(fields=["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]),
        "version-8": handshake(version="8"),
        "no-version": handshake(version=None),
        "body": handshake(fields=["Content-Length: 5"]) + b"hello",
        "chunked": handshake(fields=["Transfer-Encoding: chunked"]) + b"0\r\n\r\n",
        "subprotocol": handshake(fields=["Sec-WebSocket-Protocol: a b"]),
    },
    "may": {
        "post": handshake().replace(b"GET", b"POST"),
        "http-1.0": handshake().replace(b"HTTP/1.1", b"HTTP/1.0"),
        "no-connection": handshake().replace(b"Connection: Upgrade", b"Connection: close"),
        "lines": b"\4x\rSec-WebSocket-Key: y\r\nUpgrade: z",
    },
}
OFFERS = {
    "accept": ["permessage-deflate", "permessage-deflate; client_max_window_bits", 'permessage-deflate; client_max_window_bits="1\\0"',
               "permessage-deflate; server_max_window_bits=9; client_max_window_bits=8",
               "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
               "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=15",
               'foo; bar="baz" ,, permessage-deflate'],
    "reject": ["", "permessage-deflate; unknown", "permessage-deflate; server_max_window_bits", "x-webkit-deflate-frame",
               "permessage-deflate; server_max_window_bits=010", "permessage-deflate; client_no_context_takeover=1",
               'permessage-deflate; server_max_window_bits="10', "permessage-deflate; server_max_window_bits=16"],
}


def case(name, raw, verdict):
    return {"id": name, "raw": base64.b64encode(raw).decode(), "rfc": verdict}


def write(name, cases):
    origin = "written by tests/fuzz/ws_seeds.py; RFC 6455, RFC 7692"
    text = json.dumps({"origin": origin, "cases": cases}, indent=0)
    (TESTS / "wire" / "corpora" / name).write_text(text + "\n")


def main():
    frames = []
    for table, option in ((FRAMES, 0), (COMPRESSED, DEFLATE)):
        for verdict, cases in table.items():
            for i, (name, data) in enumerate(cases.items()):
                frames.append(case(name, bytes([option | LATE * (i & 1) | (i % 7) << 2]) + data, verdict))
    write("ws_frames.json", frames)
    write("ws_handshakes.json", [case(n, raw, verdict) for verdict, cases in HANDSHAKES.items() for n, raw in cases.items()])
    write("ws_offers.json", [case(f"{verdict}-{i}", offer.encode(), verdict)
                             for verdict, offers in OFFERS.items() for i, offer in enumerate(offers)])


if __name__ == "__main__":
    main()
