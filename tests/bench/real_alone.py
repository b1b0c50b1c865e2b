# SPDX-License-Identifier: BSD-3-Clause
"""An application without a server, for real.py: module:name, path, seconds, requests at a time (of ASGI), content type (or
"websocket"), file with the body. Prints CPU µs, the kernel's share, voluntary context switches per request and requests/s."""
import asyncio
import importlib
import io
import resource
import sys
import time

try:
    from uvloop import run
except ImportError:
    from asyncio import run


def usage():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime, u.ru_stime, u.ru_nvcsw, time.perf_counter()


def tell(before, n):
    user, kernel, waits, wall = (b - a for a, b in zip(before, usage()))
    print((user + kernel) * 1e6 / n, kernel / (user + kernel), waits / n, n / wall)


async def asgi(app, path, seconds, connections, kind, body):
    headers = [(b"host", b"127.0.0.1"), (b"content-type", kind), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST" if kind else "GET",
             "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1),
             "server": ("127.0.0.1", 80), "headers": headers if kind else headers[:1]}

    async def one():
        parts, ended = [{"type": "http.request", "body": body, "more_body": False}], asyncio.Event()

        async def receive():
            if not parts:
                await ended.wait()
                return {"type": "http.disconnect"}
            return parts.pop()

        async def send(message):
            if message["type"] == "http.response.body" and not message.get("more_body"):
                ended.set()
        await app({**scope, "state": {}}, receive, send)

    async def connection(until):
        n = 0
        while time.perf_counter() < until:
            await asyncio.create_task(one())  # as servers do: a task for each request
            n += 1
        return n

    async def some(until):
        return sum(await asyncio.gather(*[connection(until) for _ in range(connections)]))
    await some(time.perf_counter() + seconds / 4)
    before = usage()
    tell(before, await some(time.perf_counter() + seconds))


async def websocket(app, path, seconds):
    """One connection, whose messages are there already."""
    scope = {"type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "ws", "path": path,
             "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
             "headers": [(b"host", b"127.0.0.1")], "subprotocols": [], "state": {}}
    n, text = 0, "x" * 64
    warm = time.perf_counter() + seconds / 4
    ends, before = [warm, warm + seconds], []

    async def receive():
        nonlocal n
        if not before:
            before.append(None)
            return {"type": "websocket.connect"}
        now = time.perf_counter()
        if before[0] is None and now > ends[0]:
            before[0], n = usage(), 0
        if now > ends[1]:
            return {"type": "websocket.disconnect", "code": 1000, "reason": ""}
        n += 1
        return {"type": "websocket.receive", "text": text}

    async def send(message):
        pass
    await app(scope, receive, send)
    tell(before[0], n)


def wsgi(app, path, seconds, kind, body):
    environ = {"REQUEST_METHOD": "POST" if kind else "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
               "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
               "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False}
    if kind:
        environ.update(CONTENT_TYPE=kind.decode(), CONTENT_LENGTH=str(len(body)))

    def some(until):
        n = 0
        while time.perf_counter() < until:
            result = app({**environ, "wsgi.input": io.BytesIO(body)}, lambda status, headers, exc_info=None: None)
            for _ in result:
                pass
            getattr(result, "close", int)()
            n += 1
        return n
    some(time.perf_counter() + seconds / 4)
    before = usage()
    tell(before, some(time.perf_counter() + seconds))


def main():
    name, path, seconds, connections, kind, body = sys.argv[1:]
    module, attribute = name.split(":")
    app = getattr(importlib.import_module(module), attribute)
    with open(body, "rb") as f:
        body = f.read()
    if attribute in ("wsgi",) or module.startswith("flask"):
        wsgi(app, path, float(seconds), kind.encode(), body)
    elif kind == "websocket":
        run(websocket(app, path, float(seconds)))
    else:
        run(asgi(app, path, float(seconds), int(connections), kind.encode(), body))


main()
