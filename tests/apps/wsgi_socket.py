# SPDX-License-Identifier: BSD-3-Clause
"""WebSockets of a WSGI application by hand, over environ["gunicorn.socket"], as the libraries do it. The path says which."""

import base64
import hashlib
import socket
import struct

from apps.report import report


def handshake(environ, more=b""):
    key = environ["HTTP_SEC_WEBSOCKET_KEY"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    proof = base64.b64encode(hashlib.sha1(key).digest())
    s = environ["gunicorn.socket"]
    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Accept: " + proof + b"\r\nX-Own: kept\r\n\r\n" + more)
    return s


def exactly(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(min(65536, n - len(data)))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_frame(s):
    """(opcode, payload) of a client's frame."""
    first, second = exactly(s, 2)
    n = second & 127
    if n > 125:
        n = struct.unpack(">H" if n == 126 else ">Q", exactly(s, 2 if n == 126 else 8))[0]
    mask = exactly(s, 4)
    data = exactly(s, n)
    pad = (mask * (n // 4 + 1))[:n]
    return first & 15, (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(n, "big")


def frame(opcode, payload):
    n = len(payload)
    size = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
    return bytes([0x80 | opcode]) + size + payload


def converse(s):
    """Echoes until a Close frame, which is answered; the payload of that, or None: the client is gone."""
    while True:
        try:
            opcode, payload = read_frame(s)
        except EOFError:
            return None
        s.sendall(frame(opcode, payload))
        if opcode == 8:
            return payload


def echo(environ, start_response):
    s = handshake(environ)
    payload = converse(s)
    report(path="echo", tag=environ["QUERY_STRING"], code=None if payload is None else int.from_bytes(payload[:2], "big"))
    s.close()
    raise StopIteration  # what flask-sock raises where it finds gunicorn.socket


def returns(environ, start_response):
    """As wsgi.py of others: a usual response after the WebSocket has ended."""
    converse(handshake(environ))
    start_response("200 OK", [])
    return [b"nobody reads this"]


def greets(environ, start_response):
    """Speaks at once, and ends."""
    handshake(environ, frame(1, b"hello"))
    raise StopIteration


def floods(environ, start_response):
    s = handshake(environ)
    for _ in range(200):
        s.sendall(frame(2, bytes(100000)))
    s.close()
    raise StopIteration


def raises(environ, start_response):
    handshake(environ)
    raise ValueError("in a websocket")


def refuses(environ, start_response):
    start_response("401 Unauthorized", [("X-Socket", type(environ.get("gunicorn.socket")).__name__)])
    return [b"who are you?"]


def writes_nonsense(environ, start_response):
    s = environ["gunicorn.socket"]
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    s.recv(1)
    raise StopIteration


def stops_without_a_word(environ, start_response):
    raise StopIteration


def waits(environ, start_response):
    """Until the client has gone, before it answers."""
    s = environ["gunicorn.socket"]
    report(path="waits", state="running")
    data = s.recv(1)
    report(path="waits", state="over", data=data.decode())
    start_response("200 OK", [])
    return [b""]


def knows(environ, start_response):
    s = environ["gunicorn.socket"]
    start_response("200 OK", [("X-Family", s.family.name), ("X-Blocks", str(s.gettimeout() is None and s.getblocking())),
                              ("X-Kind", str(isinstance(s, socket.socket)))])
    return [b""]


def app(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
