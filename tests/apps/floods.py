# SPDX-License-Identifier: BSD-3-Clause
"""What a flood is let loose on: small and large answers, bodies, and work that goes on when its client has gone."""

import asyncio

from apps.kit import as_json, body, dispatch, query, read_all, start, text

LARGE = b"x" * (1 << 20)
running = {"now": 0, "most": 0, "begun": 0}
gate = asyncio.Event()


async def small(scope, receive, send):
    await text(send, "small")


async def large(scope, receive, send):
    await text(send, LARGE)


async def large_own(scope, receive, send):
    """A body of its own for each client, where /large has one for all."""
    await text(send, b"x" * (1 << 20))


async def echo(scope, receive, send):
    await text(send, await read_all(receive))


async def drip(scope, receive, send):
    """Many small pieces, each given when the last one has gone."""
    await start(send)
    for _ in range(int(query(scope)["n"])):
        await body(send, b"12345678", more=True)
        await asyncio.sleep(0)
    await body(send)


async def stubborn(scope, receive, send):
    """Works until the gate opens, whoever has gone."""
    await work()
    await text(send, "worked")


async def work():
    running["now"] += 1
    running["begun"] += 1
    running["most"] = max(running["most"], running["now"])
    await gate.wait()
    running["now"] -= 1


async def open_gate(scope, receive, send):
    """Lets all of them go on, and counts anew."""
    global gate
    gate.set()
    gate = asyncio.Event()
    running.update(most=0, begun=0)
    await text(send, "open")


async def count(scope, receive, send):
    await as_json(send, running)


http = dispatch(small, large, large_own, echo, drip, stubborn, open_gate, count)


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return await http(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/stubborn":
        return await work()
    while (await receive())["type"] != "websocket.disconnect":
        pass
