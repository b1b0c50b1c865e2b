# SPDX-License-Identifier: BSD-3-Clause
"""WebSocket applications, one behaviour each, chosen by the first part of the path: ws://.../echo ...

`report` remembers, under the name in ?id=, what the application was told, for GET /report?id=NAME to show.
"""

import asyncio
import json

from apps.kit import as_json, query, text
from apps.report import report as tell_test

reports = {}
waiting = {}
room = set()


def accept(**more):
    return {"type": "websocket.accept", **more}


async def connect(receive, send, **more):
    assert (await receive())["type"] == "websocket.connect"
    await send(accept(**more))


def plain(value):
    """A message as JSON shows it."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


async def echo(scope, receive, send):
    await connect(receive, send)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def show(scope, receive, send):
    """The scope, as the first message; state and extensions too."""
    await connect(receive, send)
    await send({"type": "websocket.send", "text": json.dumps(plain({k: v for k, v in scope.items() if k != "tine.draining"}))})
    await receive()


async def events(scope, receive, send):
    """Remembers every event until the disconnect, and one more receive() behind it."""
    seen = reports.setdefault(query(scope)["id"], [])
    seen.append(plain(await receive()))
    await send(accept())
    while seen[-1]["type"] != "websocket.disconnect":
        seen.append(plain(await receive()))
    seen.append(plain(await receive()))


async def chosen(scope, receive, send):
    """Accepts with the subprotocol and headers asked for."""
    q = query(scope)
    await connect(receive, send, subprotocol=q.get("subprotocol"),
                  headers=[(b"x-one", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"X-Two", b"\xff\t2"),
                           (b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"content-length", b"5"),
                           (b"upgrade", b"x")])
    await receive()


async def late(scope, receive, send):
    """Accepts a turn of the loop later."""
    await receive()
    await asyncio.sleep(0)
    await send(accept())
    await echo_on(receive, send)


async def held(scope, receive, send):
    """Accepts when GET /release?id=... says so."""
    await receive()
    tell_test(path="held", id=query(scope)["id"])
    event = waiting.setdefault(query(scope)["id"], asyncio.Event())
    disconnected = asyncio.ensure_future(receive())
    released = asyncio.ensure_future(event.wait())
    await asyncio.wait([disconnected, released], return_when=asyncio.FIRST_COMPLETED)
    seen = reports.setdefault(query(scope)["id"], [])
    if disconnected.done():
        released.cancel()
        seen.append(plain(disconnected.result()))
        try:
            await send(accept())
        except OSError as e:
            seen.append({"type": "error", "error": type(e).__name__})
            raise
    await send(accept())
    message = await disconnected
    if message["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
        await echo_on(receive, send)


async def echo_on(receive, send):
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({**message, "type": "websocket.send"})


async def refuse(scope, receive, send):
    seen = reports.setdefault(query(scope).get("id", ""), [])
    await receive()
    await send({"type": "websocket.close"})
    seen.append(plain(await receive()))


async def deny(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401,
                "headers": [(b"x-why", b"because"), (b"content-type", b"text/plain")]})
    await send({"type": "websocket.http.response.body", "body": b"no ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"entry"})


async def deny_halfway(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"content-length", b"5")]})
    await send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})


async def raises(scope, receive, send):
    raise RuntimeError("before accept")


async def returns(scope, receive, send):
    pass


async def raises_open(scope, receive, send):
    await connect(receive, send)
    raise RuntimeError("after accept")


async def returns_open(scope, receive, send):
    await connect(receive, send)


async def accepts_twice(scope, receive, send):
    await connect(receive, send)
    await send(accept())


async def sends_early(scope, receive, send):
    await receive()
    await send({"type": "websocket.send", "text": "too early"})


async def errors(scope, receive, send):
    """Messages that are wrong, and what they raise."""
    await receive()
    seen = []

    async def attempt(message):
        try:
            await send(message)
            seen.append(None)
        except Exception as e:
            seen.append(type(e).__name__)
    await attempt(accept(subprotocol="not-offered"))
    await attempt(accept(headers=[(b"sec-websocket-protocol", b"a")]))
    await attempt(accept(headers=[(b"x", b"a\r\nb: c")]))
    await attempt(accept(headers=[("x", "y")]))
    await attempt({"type": "http.response.start", "status": 200})
    await send(accept())
    await attempt({"type": "websocket.send"})
    await attempt({"type": "websocket.send", "text": b"bytes"})
    await attempt({"type": "websocket.send", "text": "\ud800"})
    await attempt({"type": "websocket.close", "code": 1005})
    await send({"type": "websocket.send", "text": json.dumps(seen)})
    await receive()


async def closes(scope, receive, send):
    """Closes with ?code= and ?reason=; remembers what comes then."""
    q = query(scope)
    seen = reports.setdefault(q.get("id", ""), [])
    await connect(receive, send)
    message = {"type": "websocket.close"}
    if "code" in q:
        message["code"] = int(q["code"])
    if "reason" in q:
        message["reason"] = q["reason"]
    await send(message)
    try:
        await send({"type": "websocket.send", "text": "too late"})
    except Exception as e:
        seen.append({"type": "error", "error": type(e).__name__})
    seen.append(plain(await receive()))


async def sends_after(scope, receive, send):
    """Sends after the disconnect."""
    seen = reports.setdefault(query(scope)["id"], [])
    await connect(receive, send)
    while (await receive())["type"] != "websocket.disconnect":
        pass
    try:
        await send({"type": "websocket.send", "text": "too late"})
    except OSError as e:
        seen.append({"type": "error", "error": type(e).__name__})
        raise


async def flood(scope, receive, send):
    """Sends messages of 64 KB until ?n= are sent; counts them in the report."""
    q = query(scope)
    seen = reports.setdefault(q["id"], [0])
    await connect(receive, send)
    for i in range(int(q["n"])):
        await send({"type": "websocket.send", "bytes": bytes(65536)})
        seen[0] = i + 1


async def deaf(scope, receive, send):
    """Takes messages only after GET /release?id=..., then counts them."""
    q = query(scope)
    event = waiting.setdefault(q["id"], asyncio.Event())
    seen = reports.setdefault(q["id"], [0])
    await connect(receive, send)
    await event.wait()
    while (await receive())["type"] != "websocket.disconnect":
        seen[0] += 1
        if seen[0] == int(q.get("n", 0)):
            await send({"type": "websocket.send", "text": "all"})


async def burst(scope, receive, send):
    """?n= messages in one turn of the loop."""
    await connect(receive, send)
    for i in range(int(query(scope)["n"])):
        await send({"type": "websocket.send", "text": f"message {i}"})
    await receive()


async def broadcast(scope, receive, send):
    await connect(receive, send)
    room.add(send)
    try:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            for member in list(room):
                await member({**message, "type": "websocket.send"})
    finally:
        room.discard(send)


async def report(scope, receive, send):
    await as_json(send, reports.get(query(scope)["id"], []))


async def release(scope, receive, send):
    waiting.setdefault(query(scope)["id"], asyncio.Event()).set()
    await text(send, "released")


async def hello(scope, receive, send):
    await text(send, "Hello")


TABLE = {f.__name__: f for f in (
    echo, show, events, chosen, late, held, refuse, deny, deny_halfway, raises, returns, raises_open, returns_open,
    accepts_twice, sends_early, errors, closes, sends_after, flood, deaf, burst, broadcast, report, release, hello)}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["from"] = "lifespan"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await TABLE[scope["path"].split("/")[1]](scope, receive, send)
