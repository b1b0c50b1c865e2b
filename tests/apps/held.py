# SPDX-License-Identifier: BSD-3-Clause
"""Applications that begin an answer and do not go on, one way each, chosen by path: of these answers no byte leaves."""

import asyncio

from apps.kit import body, dispatch, query, start, text
from apps.report import report

PLAIN = [(b"content-type", b"text/plain"), (b"x-own", b"1")]


async def ok(scope, receive, send):
    await text(send, "ok")


async def raises(scope, receive, send):
    """?status=N; ?length=N for a Content-Length; with ?later=1 after a turn of the loop."""
    q = query(scope)
    report(path="raises", tag=q.get("tag", ""))
    await start(send, int(q.get("status", 200)), PLAIN + ([(b"content-length", q["length"].encode())] if "length" in q else []))
    if "later" in q:
        await asyncio.sleep(0.05)
    raise ValueError("the database is down")


async def returns(scope, receive, send):
    await start(send, int(query(scope).get("status", 200)), PLAIN)


async def raises_after_hint(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    await start(send, headers=PLAIN)
    raise ValueError("after the hint")


async def starts_twice(scope, receive, send):
    await start(send, headers=PLAIN)
    await start(send, headers=PLAIN)


async def bad_body(scope, receive, send):
    await start(send, headers=PLAIN)
    await body(send, "text")


async def short(scope, receive, send):
    """Content-Length, and nothing of it."""
    await start(send, headers=[(b"content-length", b"10")])
    await body(send)


async def no_file(scope, receive, send):
    await start(send, headers=PLAIN)
    await send({"type": "http.response.pathsend", "path": "/nonexistent/file"})


async def short_file(scope, receive, send):
    await start(send, headers=[(b"content-length", b"1000000")])
    await send({"type": "http.response.pathsend", "path": __file__})


async def reads_after_start(scope, receive, send):
    """Waits for the rest of the body with its head held."""
    await start(send, headers=PLAIN)
    report(path="reads_after_start")
    while (await receive()).get("more_body"):
        pass
    await body(send, b"read")


async def waits(scope, receive, send):
    """?start=1: with its head held; ?part=1: after a first piece of the body."""
    q = query(scope)
    if "start" in q or "part" in q:
        await start(send, headers=PLAIN)
    if "part" in q:
        await body(send, b"part", more=True)
    report(path="waits", tag=q.get("tag", ""))
    await asyncio.sleep(1000)


async def part(scope, receive, send):
    await start(send, headers=PLAIN)
    await body(send, b"part", more=True)
    raise ValueError("after a part")


http = dispatch(ok, raises, returns, raises_after_hint, starts_twice, bad_body, short, no_file, short_file, reads_after_start, waits,
                part)


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": PLAIN})
        if scope["path"] == "/denies":
            raise ValueError("while it denies")
        return
    await http(scope, receive, send)


# Those that fail before the first byte.
FAILS = ["/raises", "/raises?later=1", "/raises?status=204", "/raises?status=304", "/raises?length=5", "/raises?length=100000",
         "/returns", "/returns?status=204", "/returns?status=304", "/starts_twice", "/bad_body", "/short", "/no_file", "/short_file"]
