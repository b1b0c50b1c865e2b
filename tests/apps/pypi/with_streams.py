# SPDX-License-Identifier: BSD-3-Clause
"""Endless streams as frameworks make them: sse-starlette's, FastAPI's plain one, and a WebSocket. $TINE_TEST_MARKS: see apps/drains.py."""

import asyncio
import atexit
import os
import pathlib
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from sse_starlette.sse import EventSourceResponse

MARKS = pathlib.Path(os.environ["TINE_TEST_MARKS"])
atexit.register((MARKS / "atexit").touch)


@asynccontextmanager
async def lifespan(app):
    yield
    (MARKS / "hook").touch()


app = FastAPI(lifespan=lifespan)


async def ticks(form):
    for number in range(1_000_000):
        yield form(number)
        await asyncio.sleep(0.02)


@app.get("/sse")
async def sse():
    return EventSourceResponse(ticks(lambda n: {"data": n}))


@app.get("/events")
async def events():
    return StreamingResponse(ticks(lambda n: f"data: {n}\n\n"), media_type="text/event-stream")


@app.get("/noticing")
async def noticing(request: Request):
    async def lines():
        async for line in ticks(lambda n: f"{n}\n"):
            yield line
            if request.scope["tine.draining"].is_set():
                return
    return StreamingResponse(lines(), media_type="text/plain")


@app.websocket("/socket")
async def socket(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("hello")
    async for _ in websocket.iter_text():
        pass
