# SPDX-License-Identifier: BSD-3-Clause
"""What takes long: requests and streams that end when a file is there or never, WebSockets; each reports how it ended."""

import asyncio
import os

from apps.kit import body, query, start, text
from apps.report import report


async def gate():
    while not os.path.exists(os.environ["GATE"]):
        await asyncio.sleep(0.01)


async def waits(scope, receive, send):
    await gate()
    await text(send, "waited")


async def events(scope, receive, send):
    """Server-sent events, until the gate opens; ?for=ever: no end, whatever is asked."""
    await start(send, headers=[(b"content-type", b"text/event-stream")])
    while query(scope).get("for") == "ever" or not os.path.exists(os.environ["GATE"]):
        await body(send, b"data: tick\n\n", more=True)
        await asyncio.sleep(0.05)
    await body(send, b"data: end\n\n")


async def stubborn(scope, receive, send):
    """Will not be cancelled."""
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            report(path="stubborn", state="asked")


async def upload(scope, receive, send):
    n = 0
    while (message := await receive())["type"] == "http.request":
        n += len(message["body"])
        if not message["more_body"]:
            await text(send, str(n))


async def websocket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
    return message["code"]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        report(path="lifespan", state="shut down")
        await send({"type": "lifespan.shutdown.complete"})
        return
    name = scope["path"].split("/")[1]
    report(path=name, state="running", http=scope["http_version"])
    try:
        table = {"waits": waits, "events": events, "stubborn": stubborn, "upload": upload, "websocket": websocket}
        code = await table[name](scope, receive, send)
        report(path=name, state="over", http=scope["http_version"], error=None, code=code)
    except BaseException as e:
        report(path=name, state="over", http=scope["http_version"], error=type(e).__name__)
        raise
