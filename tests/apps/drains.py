# SPDX-License-Identifier: BSD-3-Clause
"""Answers that end only when their worker does: event streams, WebSockets and requests that notice it in each of the ways there
are, and one that notices nothing. Files named by $TINE_TEST_MARKS show that hooks have run."""

import asyncio
import atexit
import os
import pathlib

from apps.kit import dispatch, query
from apps.report import report

MARKS = pathlib.Path(os.environ.get("TINE_TEST_MARKS", "/nonexistent"))


def mark(name):
    if MARKS.is_dir():
        (MARKS / name).touch()


atexit.register(mark, "atexit")


async def begin(send, kind):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})


async def listens(scope, receive, send):
    """As frameworks do: until the client leaves."""
    kind = query(scope).get("kind", "text/event-stream").encode()
    while (await receive()).get("more_body"):
        pass
    await begin(send, kind)
    report(path="listens")
    message = await receive()
    report(path="listens", got=message["type"])


async def awaits(scope, receive, send):
    await begin(send, b"text/plain")
    report(path="awaits", was_set=scope["tine.draining"].is_set())
    await scope["tine.draining"]
    await send({"type": "http.response.body", "body": b"bye"})
    report(path="awaits", is_set=scope["tine.draining"].is_set())


async def deaf(scope, receive, send):
    await begin(send, b"text/plain")
    report(path="deaf")
    while True:
        await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"data: more\n\n", "more_body": True})


async def lifespan(scope, receive, send):
    event = scope["tine.draining"]
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    report(hook=True, draining=event.is_set())
    mark("hook")
    await send({"type": "lifespan.shutdown.complete"})


async def websocket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    report(path="websocket")
    if scope["path"] == "/awaits":
        await scope["tine.draining"]
        report(path="websocket", noticed=True)
    message = await receive()
    report(path="websocket", got=message["type"], code=message.get("code"))


http = dispatch(listens, awaits, deaf)


async def app(scope, receive, send):
    await {"lifespan": lifespan, "websocket": websocket}.get(scope["type"], http)(scope, receive, send)


def wsgi(environ, start_response):
    event = environ["tine.draining"]
    start_response("200 OK", [("Content-Type", "text/event-stream")])

    def stream():
        yield b"data: first\n\n"
        report(path="wsgi", was_set=event.is_set())
        event.wait()
        yield b"bye"

    return stream()
