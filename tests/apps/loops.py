# SPDX-License-Identifier: BSD-3-Clause
"""For app.loop: an application that runs on every event loop, and asks of it what applications do."""

import contextvars
import os
import sys
import time

from apps.kit import as_json, body, dispatch, query, read_all, start, text
from apps.report import report

WHO = contextvars.ContextVar("who", default="nobody")
KIND = os.environ.get("TINE_TEST_LOOP", "asyncio")

if KIND == "trio":
    import trio as library
    Event, sleep = library.Event, library.sleep
elif KIND == "curio":
    import curio as library
    Event, sleep = library.Event, library.sleep
else:
    import asyncio as library
    Event, sleep = library.Event, library.sleep

barrier = {"here": 0, "event": None}
seen = {"cancelled": 0, "lifespan": []}


def running():
    """The module of the loop that runs, and what the task of this request is called."""
    if KIND == "trio":
        return "trio", library.lowlevel.current_task().name
    if KIND == "curio":
        return "curio", "task"
    return type(library.get_running_loop()).__module__.split(".")[0], library.current_task().get_name()


async def which(scope, receive, send):
    name, task = running()
    sniffed = None
    if "sniffio" in sys.modules or KIND == "trio":
        import sniffio
        sniffed = sniffio.current_async_library()
    await as_json(send, {"loop": name, "task": task, "sniffio": sniffed, "factory": os.environ.get("TINE_TEST_FACTORY", ""),
                         "state": scope.get("state", {}).get("from")})


async def echo(scope, receive, send):
    await text(send, await read_all(receive))


async def meets(scope, receive, send):
    """All of ?n= requests are there at once, or none is answered."""
    WHO.set(query(scope)["i"])
    if barrier["event"] is None:
        barrier["event"] = Event()
    event = barrier["event"]
    barrier["here"] += 1
    if barrier["here"] == int(query(scope)["n"]):
        barrier["here"], barrier["event"] = 0, None
        if KIND == "curio":
            await event.set()
        else:
            event.set()
    await event.wait()
    await text(send, WHO.get())


async def streams(scope, receive, send):
    """More than a slow client takes at once."""
    n = int(query(scope)["n"])
    await start(send, headers=[(b"content-length", b"%d" % (n * 65536))])
    for i in range(n):
        await body(send, bytes([i % 251]) * 65536, i + 1 < n)
    report(streamed=n)


async def disconnects(scope, receive, send):
    report(path="disconnects", state="running")
    types = []
    try:
        while True:
            types.append((await receive())["type"])
            if types[-1] == "http.disconnect":
                break
    finally:
        report(path="disconnects", state="over", got=types)


async def fails(scope, receive, send):
    if query(scope).get("later"):
        await sleep(0.01)
    raise ValueError("it fails")


async def background(scope, receive, send):
    """A task of the request fails: so does the request."""
    async def bad():
        await sleep(0.01)
        raise KeyError("in the background")
    if KIND == "trio":
        async with library.open_nursery() as nursery:
            nursery.start_soon(bad)
            await sleep(60)
    elif KIND == "curio":
        async with library.TaskGroup() as group:
            await group.spawn(bad)
        for task in group.tasks or ():
            await task.join()
    else:
        async with library.TaskGroup() as group:
            group.create_task(bad())
            await sleep(60)


async def blocks(scope, receive, send):
    """In a later step, which the loop itself has made."""
    await sleep(0.01)
    time.sleep(0.5)
    await text(send, "blocked")


async def blocks_beside(scope, receive, send):
    """In a task of the application's own, which is no request's, and of which the server knows nothing."""
    async def hold_up():
        await sleep(0.01)
        time.sleep(1)
    if KIND == "trio":
        over = Event()

        async def system_task():
            await hold_up()
            over.set()
        library.lowlevel.spawn_system_task(system_task)
        await over.wait()
    elif KIND == "curio":
        task = await library.spawn(hold_up)
        await task.join()
    else:
        await library.create_task(hold_up())
    await text(send, "blocked")


async def times_out(scope, receive, send):
    """An error of the application's, and no cancelled request, whatever its class descends from."""
    if KIND == "trio":
        with library.fail_after(0.01):
            await sleep(60)
    elif KIND == "curio":
        async with library.timeout_after(0.01):
            await sleep(60)
    else:
        async with library.timeout(0.01):
            await sleep(60)


async def starts(scope, receive, send):
    """A task of the request that waits until the client leaves."""
    async def waits_as_child():
        report(path="starts", state="running")
        await sleep(60)

    async def until_it_leaves():
        while (await receive())["type"] != "http.disconnect":
            pass
    if KIND == "trio":
        async with library.open_nursery() as nursery:
            nursery.start_soon(waits_as_child)
            await until_it_leaves()
            nursery.cancel_scope.cancel()
    elif KIND == "curio":
        task = await library.spawn(waits_as_child)
        await until_it_leaves()
        await task.cancel()
    else:
        task = library.create_task(waits_as_child())
        await until_it_leaves()
        task.cancel()


async def waits(scope, receive, send):
    of = query(scope).get("of", "")
    report(path="waits", state="running", of=of)
    try:
        await sleep(float(query(scope).get("s", 60)))
    except BaseException as error:
        report(path="waits", state="ended", by=type(error).__name__, of=of)
        raise
    await text(send, "waited")


async def leaves(scope, receive, send):
    """SystemExit where the request has a task that the loop will step: it ends the worker, not the loop."""
    library.current_task()
    if query(scope).get("later"):
        await sleep(0.01)
    raise SystemExit(7)


async def stops(scope, receive, send):
    if KIND == "trio":  # the nursery of all requests
        library.lowlevel.current_task().parent_nursery.cancel_scope.cancel()
    else:
        library.get_running_loop().call_soon(library.get_running_loop().stop)
    await sleep(0.05)
    await text(send, "stopped")


http = dispatch(which, echo, meets, streams, disconnects, fails, background, blocks, blocks_beside, times_out, starts, waits, leaves, stops)


async def websocket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
    report(path="websocket", code=message["code"])


async def lifespan(scope, receive, send):
    await receive()
    scope["state"]["from"] = running()[0]
    await sleep(0.01)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await sleep(0.01)
    report(lifespan="over")
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    kinds = {"websocket": websocket, "lifespan": lifespan}
    await kinds.get(scope["type"], http)(scope, receive, send)


if KIND not in ("trio", "curio"):
    class Made(library.SelectorEventLoop):
        """What app.loop_factory makes."""

    class Policy(library.DefaultEventLoopPolicy):
        def new_event_loop(self):
            return Made()

    def make():
        os.environ["TINE_TEST_FACTORY"] = "made"
        return Made()


async def kinds(scope, receive, send):
    loop = library.get_running_loop()
    await text(send, f"{type(loop).__name__} {type(library.get_event_loop()).__name__}")


def chosen():
    """A factory of an application that sets the policy, as applications of uvloop do."""
    library.set_event_loop_policy(Policy())
    return kinds
