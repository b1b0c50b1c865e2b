# SPDX-License-Identifier: BSD-3-Clause
"""Requests that want the process to end, each in its way, beside one that waits for its client ("/hold": the byte of its body
is awaited). ASGI is `app`, WSGI `wsgi`; LIFESPAN_ENDING makes the lifespan itself do it, at its start or end."""

import asyncio
import os
import signal
import sys
import threading

from apps.kit import read_all, text
from apps.report import report


def exits():
    sys.exit(3)


def interrupts():
    raise KeyboardInterrupt


def generator_exits():
    raise GeneratorExit


def is_cancelled():
    raise asyncio.CancelledError


RAISES = {"/exit": exits, "/interrupt": interrupts, "/generator_exit": generator_exits, "/cancelled": is_cancelled}


async def ends_in_task(kind):
    await asyncio.sleep(0)
    kind()


def end_of_loop(path):
    """What ends the loop itself, and no request."""
    loop = asyncio.get_running_loop()
    if path == "/task":
        report(task=id(loop.create_task(ends_in_task(exits))))
    elif path == "/task_interrupt":
        report(task=id(loop.create_task(ends_in_task(interrupts))))
    elif path == "/callback":
        loop.call_soon(exits)
    elif path == "/callbacks":
        def again():
            loop.call_soon(again)
            exits()
        loop.call_soon(again)
    elif path == "/stop":
        loop.stop()
    elif path == "/sigterm":
        os.kill(os.getpid(), signal.SIGTERM)
    elif path == "/sigint":
        os.kill(os.getpid(), signal.SIGINT)
    elif path == "/interrupt_main":
        import _thread
        _thread.interrupt_main()
    else:
        return False
    return True


async def http(scope, receive, send):
    path = scope["path"]
    if path == "/hold":
        report(held=path)
        await read_all(receive)
    elif path == "/later":
        report(held=path)
        await read_all(receive)
        exits()
    elif path == "/task_later":
        report(held=path)
        await read_all(receive)
        asyncio.get_running_loop().create_task(ends_in_task(exits))
    elif path == "/stop_later":
        report(held=path)
        await read_all(receive)
        asyncio.get_running_loop().stop()
    elif path == "/instead_of_cancelled":
        report(held=path)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            exits()
    elif path == "/child":
        async with asyncio.TaskGroup() as group:
            group.create_task(ends_in_task(exits))
    elif path == "/thread":
        await asyncio.to_thread(exits)
    elif path == "/started":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        exits()
    elif path == "/suspended":
        await asyncio.sleep(0)
        asyncio.current_task().add_done_callback(lambda task: report(task=repr(task.exception())))
        exits()
    elif path == "/no_scope":
        scope.clear()
        raise ValueError("without a scope")
    elif path in RAISES:
        RAISES[path]()
    else:
        end_of_loop(path)
    await text(send, str(os.getpid()))


async def websocket(scope, receive, send):
    await receive()
    if scope["path"] == "/refuses":
        exits()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        exits() if scope["path"] == "/exit" else interrupts()


async def lifespan(receive, send):
    when = os.environ.get("LIFESPAN_ENDING", "")
    await receive()
    if when == "in_start":
        asyncio.get_running_loop().call_soon(exits)
        await asyncio.sleep(60)
    if when == "stop_in_start":
        asyncio.get_running_loop().stop()
        await asyncio.sleep(60)
    await send({"type": "lifespan.startup.complete"})
    if when == "serving" and take_token():
        await asyncio.sleep(0.05)
        exits()
    await receive()
    report(step="shutdown")
    if when == "exit":
        exits()
    elif when == "interrupt":
        interrupts()
    elif when == "stop":
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
    elif when == "callback":
        asyncio.get_running_loop().call_soon(exits)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await send({"type": "lifespan.shutdown.complete"})
    report(step="over")


def take_token():
    """True in the first process that asks."""
    try:
        os.mkdir(os.environ["LIFESPAN_TOKEN"])
        return True
    except FileExistsError:
        return False


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        await http(scope, receive, send)


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    report(held=path, thread=threading.current_thread() is threading.main_thread())
    if path == "/hold":
        environ["wsgi.input"].read()
    elif path in RAISES:
        RAISES[path]()
    elif path == "/started":
        start_response("200 OK", [("Content-Length", "9")])
        return started()
    elif path == "/closing":
        start_response("200 OK", [])
        return Closing()
    elif path == "/sigterm":
        os.kill(os.getpid(), signal.SIGTERM)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]


class Closing:
    """Raises SystemExit in its iteration and something else when it is closed."""

    def __iter__(self):
        exits()

    def close(self):
        raise ValueError("close() fails as well")


def started():
    yield b"part"
    exits()
