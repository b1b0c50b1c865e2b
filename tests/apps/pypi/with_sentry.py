# SPDX-License-Identifier: BSD-3-Clause
"""Sentry around Starlette, with a transport that keeps what would be sent: /events has it. /raises makes an event."""

import asyncio

import sentry_sdk
from sentry_sdk.transport import Transport
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

events, running, ended = [], asyncio.Queue(), asyncio.Queue()


class Recorder(Transport):
    def capture_envelope(self, envelope):
        events.extend(item.get_event() for item in envelope.items if item.get_event() is not None)


sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Recorder)


async def raises(request):
    raise RuntimeError("seen by Sentry")


async def seen(request):
    found, events[:] = [e["exception"]["values"][-1]["type"] for e in events if e.get("exception")], []
    return JSONResponse(found)


class Watched(StreamingResponse):
    """Tells its end. A generator could not: one that is dropped while the response waits for the client ends with the next
    run of the garbage collector."""

    async def __call__(self, scope, receive, send):
        try:
            await super().__call__(scope, receive, send)
        finally:
            ended.put_nowait(None)


def streaming(pause):
    async def stream(request):
        async def pieces():
            for n in range(100000):
                yield b"x" * 1000
                if n == 0:
                    running.put_nowait(None)
                await asyncio.sleep(pause)
        return Watched(pieces())
    return stream


async def upload(request):
    running.put_nowait(None)
    try:
        return PlainTextResponse(str(len(await request.body())))
    finally:
        ended.put_nowait(None)


async def slow(request):
    """Answers a client that has left meanwhile, without having listened."""
    running.put_nowait(None)
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    ended.put_nowait(None)
    return PlainTextResponse("nobody")


async def is_running(request):
    await running.get()
    return PlainTextResponse("yes")


async def has_ended(request):
    await ended.get()
    return PlainTextResponse("yes")


app = Starlette(routes=[Route("/raises", raises), Route("/events", seen), Route("/waits", streaming(3600)),
                        Route("/busy", streaming(0)), Route("/slow", slow), Route("/upload", upload, methods=["POST"]),
                        Route("/running", is_running), Route("/ended", has_ended)])
