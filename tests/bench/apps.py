# SPDX-License-Identifier: BSD-3-Clause
"""The applications that every server runs: plain ASGI, and the same as WSGI where a peer speaks only that; WebSockets."""
import asyncio
import json
import time

SMALL = b"Hello, World!"
TEN_KB = b"x" * 10240
MEBIBYTE = b"y" * (1 << 20)
CHUNK = b"z" * 100
PIECE = b"g" * 65536
PLAIN = [(b"content-type", b"text/plain")]


def _head(body, kind=b"text/plain"):
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", kind), (b"content-length", b"%d" % len(body))],
    }


async def _answer(send, body, kind=b"text/plain"):
    await send(_head(body, kind))
    await send({"type": "http.response.body", "body": body})


async def _echo(receive, send):
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    await _answer(send, b"".join(parts))


async def _upload(receive, send):
    """Counts what comes and keeps none of it."""
    n = 0
    while True:
        message = await receive()
        n += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await _answer(send, b"%d" % n)


async def _stream(send):
    await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
    for _ in range(100):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    path = scope["path"]
    if path == "/":
        await _answer(send, SMALL)
    elif path == "/10k":
        await _answer(send, TEN_KB)
    elif path == "/json":
        await _answer(send, json.dumps({"message": "Hello, World!", "items": [1, 2, 3]}).encode(), b"application/json")
    elif path == "/echo":
        await _echo(receive, send)
    elif path == "/upload":
        await _upload(receive, send)
    elif path == "/stream":
        await _stream(send)
    elif path == "/1m":
        await _answer(send, MEBIBYTE)
    elif path == "/sleep":
        await asyncio.sleep(0.01)
        await _answer(send, SMALL)
    elif path == "/gib":
        await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
        for _ in range(1 << 14):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif path == "/awaits":
        for _ in range(10):
            await asyncio.sleep(0)
        await _answer(send, SMALL)
    else:
        await send({"type": "http.response.start", "status": 404, "headers": PLAIN})
        await send({"type": "http.response.body", "body": b"not found"})


def _read_away(stream, left):
    n = 0
    while left > 0:
        data = stream.read(min(left, 65536))
        if not data:
            break
        left -= len(data)
        n += len(data)
    return b"%d" % n


room = set()


async def websocket(scope, receive, send):
    """Sends each message back, or to all."""
    if scope["type"] != "websocket":
        raise RuntimeError("only WebSockets")
    await receive()
    await send({"type": "websocket.accept"})
    broadcast = scope["path"] == "/ws/all"
    if broadcast:
        room.add(send)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            room.discard(send)
            return
        answer = {"type": "websocket.send", "text": message["text"]}
        if broadcast:
            for member in tuple(room):
                try:
                    await member(answer)
                except Exception:  # its client has gone; what is raised then is each server's own
                    room.discard(member)
        else:
            await send(answer)


async def both(scope, receive, send):
    await (websocket if scope["type"] == "websocket" else app)(scope, receive, send)


def _start(start_response, body, kind="text/plain"):
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def wsgi(environ, start_response):
    """The same answers by WSGI."""
    path = environ["PATH_INFO"]
    if path == "/":
        return _start(start_response, SMALL)
    if path == "/10k":
        return _start(start_response, TEN_KB)
    if path == "/json":
        return _start(start_response, json.dumps({"message": "Hello, World!", "items": [1, 2, 3]}).encode(), "application/json")
    if path == "/echo":
        return _start(start_response, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    if path == "/upload":
        return _start(start_response, _read_away(environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)))
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (CHUNK for _ in range(100))
    if path == "/1m":
        return _start(start_response, MEBIBYTE)
    if path == "/sleep":
        time.sleep(0.01)
        return _start(start_response, SMALL)
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"not found"]
