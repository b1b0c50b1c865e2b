# SPDX-License-Identifier: BSD-3-Clause
"""What test_reference_slope.py asks for again and again, and /counts: what this process holds while nothing else runs."""

import asyncio
import ctypes
import gc
import json
import sys

from apps import loopapi
from apps.kit import as_json, body, read_all, start, text

live = 0


class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]


def heap():
    """Bytes that malloc() has given to this thread and not taken back; 0 where the C library cannot tell."""
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        return 0
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo2
    found = mallinfo2()
    return found.uordblks + found.hblkhd


def figures():
    """A figure of 0 cannot be had here: references without a debug build, blocks where Python allocates by malloc()."""
    for _ in range(3):
        gc.collect()
    sys._clear_type_cache()  # it holds on to names that attributes were looked up by, up to 4096 strings
    return {"references": getattr(sys, "gettotalrefcount", int)(), "blocks": sys.getallocatedblocks(), "heap": heap()}


async def counts(scope, receive, send):
    while live > 1:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.001)
    await as_json(send, figures())


async def hello(scope, receive, send):
    await text(send, "Hello")


async def echo(scope, receive, send):
    await text(send, await read_all(receive))


async def stream(scope, receive, send):
    await start(send, headers=[(b"x-one", b"1")])
    for i in range(10):
        await body(send, b"part %d" % i, more=True)
        await asyncio.sleep(0)
    await body(send)


async def endless(scope, receive, send):
    """Sends until the client is gone."""
    await start(send)
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        await body(send, bytes(8192), more=True)
        await asyncio.sleep(0)


async def waits(scope, receive, send):
    """Until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def raises(scope, receive, send):
    raise RuntimeError("before the answer")


async def raises_late(scope, receive, send):
    await start(send)
    await body(send, b"some", more=True)
    await asyncio.sleep(0)
    raise RuntimeError("in the answer")


async def wrong(scope, receive, send):
    """Messages that are refused."""
    for message in ({"type": "http.response.body"}, {"type": "no.such"}, {}, 1, {"type": "http.response.start", "status": "x"},
                    {"type": "http.response.start", "status": 200, "headers": [("x", 1)]}):
        try:
            await send(message)
        except Exception:
            continue
        raise AssertionError(message)
    await text(send, "ok")


async def tasks(scope, receive, send):
    """Tasks that end in every way, and futures."""
    loop = asyncio.get_running_loop()

    async def fails():
        raise ValueError
    ended = [loop.create_task(asyncio.sleep(0, n)) for n in range(3)] + [loop.create_task(fails())]
    cancelled = loop.create_task(asyncio.sleep(1000))
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    timer = loop.call_later(1000, print)
    await asyncio.sleep(0)
    cancelled.cancel()
    timer.cancel()
    await asyncio.gather(*ended, cancelled, future, return_exceptions=True)
    await text(send, "ok")


async def ws_echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-one", b"1")]})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def ws_closes(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1001, "reason": "enough"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def ws_raises(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    raise RuntimeError("in the WebSocket")


async def ws_refuses(scope, receive, send):
    await receive()
    await send({"type": "websocket.close"})


async def ws_denies(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403, "headers": [(b"x-why", b"because")]})
    await send({"type": "websocket.http.response.body", "body": b"no"})


TABLE = {f.__name__: f for f in (counts, hello, echo, stream, endless, waits, raises, raises_late, wrong, tasks, ws_echo, ws_closes,
                                 ws_raises, ws_refuses, ws_denies)}
TABLE |= {name: f for name, f in vars(loopapi).items() if asyncio.iscoroutinefunction(f)}


async def app(scope, receive, send):
    global live
    if scope["type"] == "lifespan":
        raise NotImplementedError
    live += 1
    try:
        await TABLE[scope["path"].split("/")[1]](scope, receive, send)
    finally:
        live -= 1


# --- WSGI ---

def wsgi(environ, start_response):
    global live
    live += 1
    try:
        return WSGI[environ["PATH_INFO"][1:]](environ, start_response)
    finally:
        live -= 1


def answer(start_response, data):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


def wsgi_stream(environ, start_response):
    start_response("200 OK", [("X-One", "1")])
    return (b"part %d" % i for i in range(10))


def wsgi_endless(environ, start_response):
    start_response("200 OK", [])
    return iter(lambda: bytes(65536), b"")


def wsgi_writes(environ, start_response):
    start_response("200 OK", [])(b"by write, ")
    return [b"by return"]


def wsgi_file(environ, start_response):
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def wsgi_raises(environ, start_response):
    raise RuntimeError("before the answer")


def wsgi_raises_late(environ, start_response):
    start_response("200 OK", [])

    def parts():
        yield b"some"
        raise RuntimeError("in the answer")
    return parts()


WSGI = {"counts": lambda environ, start_response: answer(start_response, json.dumps(figures()).encode()),
        "hello": lambda environ, start_response: answer(start_response, b"Hello"),
        "echo": lambda environ, start_response: answer(start_response, environ["wsgi.input"].read()),
        "lines": lambda environ, start_response: answer(start_response, b"".join(environ["wsgi.input"])),
        "stream": wsgi_stream, "endless": wsgi_endless, "writes": wsgi_writes, "file": wsgi_file, "raises": wsgi_raises,
        "raises_late": wsgi_raises_late}
