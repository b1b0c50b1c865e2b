# SPDX-License-Identifier: BSD-3-Clause
"""What stands behind a proxy in a test: says in fields of each answer which request it is for, so that an answer to the wrong
request can be told, and has an echo, a download, a WebSocket and the scope."""

import asyncio
import hashlib

from apps.kit import as_json, body, query, read_all, start, text
from apps.scope import plain


def marks(scope):
    named = [v for k, v in scope["headers"] if k == b"x-request-id"]
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    return [(b"x-id", b",".join(named) or b"-"), (b"x-target", target), (b"x-conn", b"%d" % scope["client"][1])]


async def websocket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "headers": marks(scope)})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    elif scope["path"] == "/scope":
        await read_all(receive)
        await as_json(send, {k: plain(v) for k, v in scope.items() if k not in ("state", "tine.draining")})
    elif scope["path"] == "/digest":
        await digest(scope, receive, send)
    elif scope["path"] == "/download":
        await download(scope, send)
    else:
        received = await read_all(receive)
        if scope["path"] == "/slow":
            await asyncio.sleep(0.005)
        await text(send, received or b"nothing", headers=marks(scope))


async def digest(scope, receive, send):
    n, seen = 0, hashlib.sha256()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        n, more = n + len(message["body"]), message["more_body"]
        seen.update(message["body"])
    await as_json(send, [n, seen.hexdigest()], headers=marks(scope))


async def download(scope, send):
    """?n pieces of 64 KiB, in chunks."""
    await start(send, headers=marks(scope))
    for i in range(int(query(scope)["n"])):
        await body(send, bytes([i & 255]) * 65536, more=True)
    await body(send)
