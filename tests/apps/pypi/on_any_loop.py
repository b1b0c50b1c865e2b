# SPDX-License-Identifier: BSD-3-Clause
"""Applications that know of no event loop but through anyio: Starlette, FastAPI and Litestar."""

import contextlib

import anyio
import sniffio
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse
from starlette.routing import Route


@contextlib.asynccontextmanager
async def lifespan(app):
    """A nursery that lives as long as the service, with a task in it."""
    async with anyio.create_task_group() as group:
        send, receive = anyio.create_memory_object_stream(10)

        async def answer():
            async for event, box in receive:
                box.append("answered")
                event.set()

        group.start_soon(answer)
        yield {"send": send}
        group.cancel_scope.cancel()


fastapi = FastAPI(lifespan=lifespan)


@fastapi.get("/async")
async def asynchronous():
    await anyio.sleep(0.01)
    return {"library": sniffio.current_async_library()}


@fastapi.get("/sync")
def synchronous():
    return {"thread": True, "from_thread": anyio.from_thread.run(_library)}


async def _library():
    return sniffio.current_async_library()


@fastapi.get("/stream")
async def stream():
    async def pieces():
        for number in range(100):
            yield f"{number}\n"
            await anyio.sleep(0)
    return StreamingResponse(pieces())


@fastapi.websocket("/ws")
async def socket(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


async def asks(request):
    event, box = anyio.Event(), []
    await request.state.send.send((event, box))
    await event.wait()
    return JSONResponse({"box": box, "library": sniffio.current_async_library()}, background=BackgroundTask(anyio.sleep, 0.01))


starlette = Starlette(routes=[Route("/", asks)], lifespan=lifespan)


@get("/")
async def hello() -> dict[str, str]:
    await anyio.sleep(0.01)
    return {"library": sniffio.current_async_library()}


litestar = Litestar([hello])
