# SPDX-License-Identifier: BSD-3-Clause
"""ASGI application whose answers can be compressed: the query says what is to be sent.

type, status, length (1: Content-Length), etag, vary, extra ("name:value", several), pieces (the body in so many messages),
size (of the body), noise (a body that does not shrink), wait (the next piece only when /go was asked for), cut (an error at
the end), trailers, file (whole, or among bytes).
"""

import asyncio
import random
import tempfile
from urllib.parse import parse_qsl

LINE = b"The quick brown fox jumps over the lazy dog. %06d\n"
gate = asyncio.Event()
taken = 0


def noise(size):
    return random.Random(size).randbytes(size)


def text(size):
    return b"".join(LINE % i for i in range(size // 40 + 1))[:size]


def headers_of(query, size):
    headers = [(b"content-type", query.get("type", "text/plain; charset=utf-8").encode())] if query.get("type") != "none" else []
    if "length" in query:
        headers.append((b"Content-Length", b"%d" % (size + int(query["length"]) - 1)))
    for name in ("etag", "vary"):
        if name in query:
            headers.append((name.encode(), query[name].encode()))
    return headers


async def send_pieces(send, body, n, gated):
    global taken
    step = max(len(body) // n, 1)
    for i in range(n):
        if gated and i:
            await gate.wait()
            gate.clear()
        piece = body[i * step:] if i == n - 1 else body[i * step:(i + 1) * step]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        taken = i + 1


async def send_file(send, body, among):
    with tempfile.NamedTemporaryFile() as f:
        f.write(body)
        f.flush()
        if not among:
            await send({"type": "http.response.pathsend", "path": f.name})
            return
        await send({"type": "http.response.body", "body": b"[", "more_body": True})
        await send({"type": "http.response.zerocopysend", "file": f, "offset": 0, "more_body": True})
        await send({"type": "http.response.body", "body": b"]"})


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("http only")
    pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
    query = dict(pairs)
    if scope["path"] == "/go":
        gate.set()
        query = {"size": "2"}
    if scope["path"] == "/taken":
        query, pairs = {"size": "0", "extra": f"x-taken:{taken}"}, [("extra", f"x-taken:{taken}")]
    size = int(query.get("size", 5000))
    body = noise(size) if "noise" in query else text(size)
    headers = headers_of(query, size) + [tuple(v.encode().split(b":", 1)) for k, v in pairs if k == "extra"]
    trailers = "trailers" in query
    await send({"type": "http.response.start", "status": int(query.get("status", 200)), "headers": headers, "trailers": trailers})
    if "file" in query:
        await send_file(send, body, query["file"] == "among")
    elif "pieces" in query:
        await send_pieces(send, body, int(query["pieces"]), "wait" in query)
        if "cut" in query:
            raise RuntimeError("cut")
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": body})
    if trailers:
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1"), (b"repr-digest", b"sha-256=:AAAA:")]})
