# SPDX-License-Identifier: BSD-3-Clause
"""Lifespans of every kind: attributes of this module, each an application that answers /... with text when it is up.

gate() waits until the test, which listens on the Unix socket TINE_TEST_GATE, lets it through."""

import asyncio
import os
import traceback

from apps.kit import as_json, text
from apps.report import report


async def gate(name):
    reader, writer = await asyncio.open_unix_connection(os.environ["TINE_TEST_GATE"])
    writer.write(name.encode() + b"\n")
    await reader.read(1)
    writer.close()


async def http(scope, receive, send):
    report(http=scope["path"])
    if scope["path"] == "/gate":
        await gate("request")
    await text(send, "up")


async def good(scope, receive, send):
    """The usual one; reports each step."""
    if scope["type"] != "lifespan":
        await http(scope, receive, send)
        report(step="answered")
        return
    first = await receive()
    report(step="startup", type=first["type"], asgi=scope["asgi"], state=repr(scope.get("state")),
           keys=sorted(scope))
    await send({"type": "lifespan.startup.complete"})
    last = await receive()
    report(step="shutdown", type=last["type"])
    await send({"type": "lifespan.shutdown.complete"})
    report(step="over")


async def gated(scope, receive, send):
    """Start-up and shut-down take as long as the test wants."""
    if scope["type"] != "lifespan":
        await http(scope, receive, send)
        report(step="answered")
        return
    await receive()
    await gate("startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    report(step="shutdown")
    await gate("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


class Shared:
    pass


async def state(scope, receive, send):
    """The state of start-up, and what requests make of their copies."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["number"] = 7
        scope["state"]["list"] = []
        scope["state"]["object"] = Shared()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        report(step="shutdown", keys=sorted(scope["state"]))
        await send({"type": "lifespan.shutdown.complete"})
        return
    mine = scope["state"]
    seen = {"keys": sorted(mine), "number": mine["number"], "list": list(mine["list"]), "type": type(mine["object"]).__name__}
    mine["number"] += 1
    mine["list"].append(scope["path"])
    mine["extra"] = 1
    await as_json(send, seen)


async def stateless(scope, receive, send):
    """An application without lifespan: what a request's scope has."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await as_json(send, {"state": "state" in scope})


async def unsupported(scope, receive, send):
    assert scope["type"] == "http"
    await text(send, "up")


async def raises(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        raise RuntimeError("no lifespan here")
    await text(send, "up")


async def returns(scope, receive, send):
    """Returns without a word."""
    if scope["type"] == "http":
        await text(send, "up")


async def fails(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "the database is away"})
        return
    await text(send, "up")


async def fails_without_message(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed"})
        return
    await text(send, "up")


async def fails_and_raises(scope, receive, send):
    """As Starlette does it."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "Traceback text of the framework"})
        raise RuntimeError("the database is away")
    await text(send, "up")


async def raises_later(scope, receive, send):
    """Dies after start-up, at shut-down."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise RuntimeError("shut-down went wrong")
    await text(send, "up")


async def shutdown_failed(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "could not flush"})
        return
    await text(send, "up")


async def returns_after_startup(scope, receive, send):
    """Needs no shut-down."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        return
    await text(send, "up")


async def wrong_message(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.completed"})
    await text(send, "up")


async def answers_anything(scope, receive, send):
    await text(send, "up")


async def answers_anything_received(scope, receive, send):
    await receive()
    await text(send, "up")


async def answers_as_websocket(scope, receive, send):
    """Takes what is not HTTP for a WebSocket."""
    if scope["type"] == "http":
        await text(send, "up")
        return
    await receive()
    await send({"type": "websocket.accept"})


async def failed_quietly(scope, receive, send):
    await receive()
    try:
        raise ValueError("no database")
    except ValueError:
        await send({"type": "lifespan.startup.failed"})
        raise


async def failed_and_waits(scope, receive, send):
    while True:
        await receive()
        await send({"type": "lifespan.startup.failed"})


def ends(how):
    """An application whose lifespan ends a moment after startup, and serves on."""
    async def app(scope, receive, send):
        if scope["type"] != "lifespan":
            await text(send, "up")
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(0.01)
        await how(send)
    return app


async def raise_error(send):
    raise ValueError("the queue is gone")


async def tell_and_raise(send):
    """As Starlette, whose message is the traceback."""
    try:
        await raise_error(send)
    except ValueError:
        await send({"type": "lifespan.shutdown.failed", "message": traceback.format_exc()})
        raise


async def tell(send):
    await send({"type": "lifespan.shutdown.failed", "message": "the queue is gone"})


dies, dies_loudly, gives_up = ends(raise_error), ends(tell_and_raise), ends(tell)


async def never_ends(scope, receive, send):
    """Start-up that is never complete."""
    if scope["type"] == "lifespan":
        await receive()
        report(step="startup")
        await asyncio.Event().wait()
    await text(send, "up")


async def tidies_up(scope, receive, send):
    """Start-up that is never complete, and what it does when it is told to stop: it cleans up, says so and ends."""
    if scope["type"] == "lifespan":
        await receive()
        try:
            report(step="startup")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            report(step="cleaned")
            await send({"type": "lifespan.startup.failed", "message": "cancelled"})
            raise
    await text(send, "up")


async def starts_all_the_same(scope, receive, send):
    """Start-up that does not let itself be cancelled."""
    if scope["type"] == "lifespan":
        await receive()
        report(step="startup")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        await send({"type": "lifespan.startup.complete"})
        report(step=(await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})
    await text(send, "up")


async def hangs_in_shutdown(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        report(step="shutdown")
        await asyncio.Event().wait()
    await text(send, "up")


async def background(scope, receive, send):
    """A task and a context variable made at start-up live on."""
    if scope["type"] == "lifespan":
        await receive()
        queue = scope["state"]["queue"] = asyncio.Queue()

        async def work():
            while True:
                future = await queue.get()
                future.set_result("worked")
        task = asyncio.ensure_future(work())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    future = asyncio.get_running_loop().create_future()
    scope["state"]["queue"].put_nowait(future)
    await text(send, await future)
