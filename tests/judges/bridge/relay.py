# SPDX-License-Identifier: BSD-3-Clause
"""The application that a server runs while the suite of a framework is tested against it: hands each scope, and every message both
ways, to the process of the test (through.py), where the real application is. It finds it by the port of its client: the Unix socket
$BRIDGE/PORT. Needs nothing but the standard library, and runs on any ASGI server."""

import asyncio
import os
import pickle
import struct


async def take(reader):
    return pickle.loads(await reader.readexactly(struct.unpack(">I", await reader.readexactly(4))[0]))


def put(writer, *what):
    data = pickle.dumps(what)
    writer.write(struct.pack(">I", len(data)) + data)


def plain(scope):
    """What goes over a socket: no lifespan state, no objects of the server."""
    extensions = {k: v for k, v in (scope.get("extensions") or {}).items() if v == {}}
    headers = [(bytes(k), bytes(v)) for k, v in scope.get("headers", ())]
    return {k: v for k, v in scope.items() if k != "state" and not k.startswith("tine.")} | {"headers": headers, "extensions": extensions}


async def serve(reader, writer, receive, send, tasks):
    async def sent(number, message):
        try:
            await send(message)
            put(writer, "sent", number, None)
        except Exception as e:
            put(writer, "sent", number, ("OSError" if isinstance(e, OSError) else type(e).__name__, str(e)))

    async def received(number):
        put(writer, "received", number, await receive())
    while True:
        kind, number, value = await take(reader)
        if kind == "over":
            raised, returned = value
            if raised is not None:
                raise RuntimeError(f"the application has raised {raised}")
            return returned
        if isinstance(value, dict) and value.get("headers") == "an iterator":
            value = {**value, "headers": iter(value["their"])}
        tasks.append(asyncio.ensure_future(sent(number, value) if kind == "send" else received(number)))


async def app(scope, receive, send):
    name = scope["client"][1] if scope["type"] != "lifespan" else os.environ.get("BRIDGE_LIFESPAN")
    if name is None:
        raise NotImplementedError("the test runs the lifespan")
    reader, writer = await asyncio.open_unix_connection(f"{os.environ['BRIDGE']}/{name}")
    tasks = []
    try:
        put(writer, "scope", 0, plain(scope))
        return await serve(reader, writer, receive, send, tasks)
    except asyncio.IncompleteReadError:
        pass  # the test has been cancelled
    finally:
        for task in tasks:
            task.cancel()
        writer.close()
