# SPDX-License-Identifier: BSD-3-Clause
"""Applications of trio: quart-trio, and one as hypercorn's users write it, with trio alone."""

import trio
from quart import ResponseReturnValue, websocket
from quart_trio import QuartTrio

quart = QuartTrio(__name__)


@quart.before_serving
async def begin() -> None:
    quart.nursery.start_soon(_count)


async def _count() -> None:
    quart.counted = trio.Event()
    quart.counted.set()
    await trio.sleep_forever()


@quart.get("/")
async def hello() -> ResponseReturnValue:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.01)
    await quart.counted.wait()
    return {"hello": "quart-trio", "counted": True}


@quart.websocket("/ws")
async def ws() -> None:
    while True:
        await websocket.send((await websocket.receive()).upper())


async def plain(scope, receive, send):
    """hypercorn's example for trio: a body that a task of the request makes."""
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    into, out = trio.open_memory_channel(0)

    async def produce():
        async with into:
            for number in range(5):
                await trio.sleep(0.001)
                await into.send(b"%d\n" % number)

    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        async for piece in out:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})
