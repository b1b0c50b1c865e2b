# SPDX-License-Identifier: BSD-3-Clause
"""Bodies far larger than a socket takes at once, each made for its answer and let go of by the application."""

import asyncio

from apps.kit import body, dispatch, query, start, text


def pattern(n, salt=0):
    """n bytes whose place shows."""
    return b"".join(b"%07d%x" % (i, salt & 15) for i in range(n // 8))


def size(scope):
    return int(query(scope).get("n", 4 << 20))


async def sized(scope, receive, send):
    await text(send, pattern(size(scope)))


async def zeros(scope, receive, send):
    await text(send, bytes(size(scope)))


async def other(scope, receive, send):
    """Not bytes: what the application may change afterwards."""
    data = bytearray(pattern(size(scope)))
    await start(send, headers=[(b"content-length", b"%d" % len(data))])
    waiting = send({"type": "http.response.body", "body": data})
    data[:] = bytes(len(data))
    await waiting


async def chunks(scope, receive, send):
    await start(send)
    for salt in range(3):
        await body(send, pattern(size(scope), salt), more=True)
    await body(send, b"end")


async def at_once(scope, receive, send):
    """Several messages, and only then the first await."""
    await start(send)
    waiting = [send({"type": "http.response.body", "body": pattern(size(scope), salt), "more_body": True})
               for salt in range(3)]
    waiting.append(send({"type": "http.response.body", "body": b"end"}))
    for each in waiting:
        await each


async def forgotten(scope, receive, send):
    """The answer is complete, but nobody waits for it."""
    data = pattern(size(scope))
    await start(send, headers=[(b"content-length", b"%d" % len(data))])
    send({"type": "http.response.body", "body": data})


async def raises(scope, receive, send):
    await start(send, headers=[(b"content-length", b"100000000")])
    send({"type": "http.response.body", "body": pattern(size(scope)), "more_body": True})
    raise RuntimeError("lent raises")


async def too_long(scope, receive, send):
    data = pattern(size(scope))
    await start(send, headers=[(b"content-length", b"%d" % (len(data) - 8))])
    await body(send, data)


async def too_short(scope, receive, send):
    data = pattern(size(scope))
    await start(send, headers=[(b"content-length", b"%d" % (len(data) + 8))])
    await body(send, data)


async def cancelled(scope, receive, send):
    """Waits for the client no longer than a moment."""
    await start(send)
    try:
        await asyncio.wait_for(body(send, pattern(size(scope)), more=True), 0.05)
    except asyncio.TimeoutError:
        pass
    await body(send, b"end")


async def hello(scope, receive, send):
    await text(send, "hello")


app = dispatch(sized, zeros, other, chunks, at_once, forgotten, raises, too_long, too_short, cancelled, hello)
