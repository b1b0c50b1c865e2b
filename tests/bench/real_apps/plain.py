# SPDX-License-Identifier: BSD-3-Clause
"""No framework: `asgi` and `wsgi`."""
import time

TEXT = [(b"content-type", b"text/plain")]


async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": b"Hello, World!"})


async def anyio_sleep(scope, receive, send):
    """10 ms, on any event loop."""
    import anyio
    await anyio.sleep(0.01)
    await asgi(scope, receive, send)


async def websocket(scope, receive, send):
    """Each message comes back; on any event loop."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def read(environ):
    n = 0
    while block := environ["wsgi.input"].read(65536):
        n += len(block)
    return [b"%d" % n]


def sleep(environ):
    time.sleep(0.01)
    return [b"Hello, World!"]


WSGI = {"/": lambda environ: [b"Hello, World!"], "/blocks": lambda environ: (b"x" * 100 for _ in range(100)), "/upload": read,
        "/sleep": sleep}


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return WSGI[environ["PATH_INFO"]](environ)
