# SPDX-License-Identifier: BSD-3-Clause
"""The application of the soak: every answer carries the name of its request and the worker that gave it.

The first part of the path chooses the behaviour, ?id= is the name. With the file $SOAK_BROKEN there it cannot be
imported, which a reload must refuse.
"""

import asyncio
import json
import os

from apps.kit import query, read_all
from soak.content import content, digest

if os.path.exists(os.environ.get("SOAK_BROKEN", "/nonexistent")):
    raise RuntimeError("soak: broken on purpose")

PIECE = 16384
held = []
rooms = {}
background = set()


async def start(scope, send, headers=(), status=200):
    fields = [(b"x-id", query(scope)["id"].encode()), (b"x-pid", b"%d" % os.getpid()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})


async def body(send, data=b"", more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def whole(scope, send, data, headers=()):
    await start(scope, send, [(b"content-length", b"%d" % len(data)), *headers])
    await body(send, data)


async def echo(scope, receive, send):
    await whole(scope, send, content(query(scope)["id"], 64))


async def down(scope, receive, send):
    """?n= bytes, how: length, chunked (in pieces) or text, which compression may take."""
    q = query(scope)
    data = content(q["id"], int(q["n"]))
    if q["how"] != "chunked":
        kind = [(b"content-type", b"text/plain")] if q["how"] == "text" else []
        await whole(scope, send, data, kind)
        return
    await start(scope, send)
    for at in range(0, len(data), PIECE):
        await body(send, data[at:at + PIECE], True)
    await body(send)


async def up(scope, receive, send):
    if "slow" in query(scope):
        await asyncio.sleep(0.05)
    data = await read_all(receive)
    await whole(scope, send, json.dumps({"n": len(data), "sha256": digest(data)}).encode())


async def sse(scope, receive, send):
    """?n= events, one after the other; a task of its own watches for the client's end."""
    q = query(scope)
    gone = asyncio.ensure_future(receive())
    try:
        await start(scope, send, [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")])
        for i in range(int(q["n"])):
            await body(send, f"id: {i}\ndata: {q['id']}\n\n".encode(), True)
            await asyncio.sleep(0.01)
            if gone.done() and gone.result()["type"] == "http.disconnect":
                return
            if gone.done():
                gone = asyncio.ensure_future(receive())
        await body(send)
    finally:
        gone.cancel()


async def fails_before(scope, receive, send):
    raise RuntimeError("soak: on purpose, before the start")


async def fails_after(scope, receive, send):
    await start(scope, send)
    await body(send, b"the beginning", True)
    raise RuntimeError("soak: on purpose, after the start")


async def executor(scope, receive, send):
    name = query(scope)["id"]
    await whole(scope, send, await asyncio.get_running_loop().run_in_executor(None, content, name, 64))


async def subprocess(scope, receive, send):
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec("/bin/cat", stdin=pipe, stdout=pipe)
    out, _ = await child.communicate(content(query(scope)["id"], 64))
    await whole(scope, send, out)


async def outgoing(scope, receive, send):
    """The answer of an echo service beside the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["SOAK_ECHO_PORT"]))
    try:
        writer.write(content(query(scope)["id"], 64))
        await writer.drain()
        data = await reader.readexactly(64)
    finally:
        writer.close()
        await writer.wait_closed()
    await whole(scope, send, data)


async def later(scope, receive, send):
    """Answers at once; a task goes on behind it."""
    task = asyncio.ensure_future(asyncio.sleep(0.05))
    background.add(task)
    task.add_done_callback(background.discard)
    await whole(scope, send, content(query(scope)["id"], 64))


async def hog(scope, receive, send):
    """Keeps memory, so that the worker has to be replaced."""
    held.append(b"x" * (int(query(scope)["mb"]) << 20))
    await whole(scope, send, b"")


# --- WebSockets ---

async def welcome(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": json.dumps({"id": query(scope)["id"], "pid": os.getpid()})})


async def messages(receive):
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        yield {"type": "websocket.send", "text": message["text"]} if message.get("text") is not None else \
            {"type": "websocket.send", "bytes": message["bytes"]}


async def ws_echo(scope, receive, send):
    await welcome(scope, receive, send)
    async for message in messages(receive):
        await send(message)


async def ws_room(scope, receive, send):
    """What one says, all of the same ?room= in this worker hear."""
    name = query(scope)["room"]
    await welcome(scope, receive, send)
    room = rooms.setdefault(name, set())
    room.add(send)
    try:
        await send({"type": "websocket.send", "text": "in"})
        async for message in messages(receive):
            for one in list(room):
                try:
                    await one(message)
                except OSError:
                    room.discard(one)
    finally:
        room.discard(send)
        if not room:
            rooms.pop(name, None)


async def ws_fails(scope, receive, send):
    await welcome(scope, receive, send)
    raise RuntimeError("soak: on purpose, in a WebSocket")


async def bodies_or_nothing(receive, send):
    """Answers well to every whole request, so that a lenient reading of a wrong one shows."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await body(send)


async def lifespan(scope, receive, send):
    while True:
        what = (await receive())["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{what}.complete"})
        if what == "shutdown":
            return


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    name = scope["path"].split("/")[1]
    behaviour = globals().get(name)
    if name not in BEHAVIOURS or scope["type"] != ("websocket" if name.startswith("ws_") else "http"):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        await bodies_or_nothing(receive, send)
        return
    await behaviour(scope, receive, send)


BEHAVIOURS = {"echo", "down", "up", "sse", "fails_before", "fails_after", "executor", "subprocess", "outgoing", "later", "hog",
              "ws_echo", "ws_room", "ws_fails"}
