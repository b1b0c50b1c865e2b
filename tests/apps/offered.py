# SPDX-License-Identifier: BSD-3-Clause
"""File responses that ask for http.response.pathsend as Starlette's do, in modules of its names: each path another way to send()."""

import copy
import functools
import io
import json
import os
import pathlib
import pickle
import sys
import tempfile
import types

from apps.kit import as_json, text

handle, FILE = tempfile.mkstemp(suffix=".txt")
os.write(handle, b"a line of the file\n" * 1000)
os.close(handle)


def module(name, source):
    made = sys.modules[name] = types.ModuleType(name)
    exec(source, made.__dict__)
    return made


responses = module("starlette.responses", """
import contextlib

class FileResponse:
    def __init__(self, path):
        self.path = path

    async def __call__(self, scope, receive, send):
        offered = "http.response.pathsend" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"offered", str(offered).encode())]})
        await self._handle_simple(send, offered)

    async def _handle_simple(self, send, offered):
        if offered:
            await send({"type": "http.response.pathsend", "path": str(self.path)})
        else:
            with self._open_file() as f:
                await send({"type": "http.response.body", "body": f.read()})

    @contextlib.contextmanager
    def _open_file(self):
        with open(self.path, "rb") as file:
            yield file

    async def other(self, scope, receive, send):
        return "http.response.pathsend" in scope["extensions"]
""")
handler = module("starlette._exception_handler", """
def around(app):
    async def wrapped(scope, receive, send):
        started = False

        async def sender(message):
            nonlocal started
            started = True
            await send(message)

        async def another(message):
            await send(message)

        await app(scope, receive, another if scope["path"] == "/another" else sender)
    return wrapped
""")
unset = module("starlette.middleware.errors", """
def around(app):
    async def wrapped(scope, receive, outer):
        async def _send(message):
            await outer(message)
            if False:
                send
        await app(scope, receive, _send)
        send = outer
    return wrapped
""")
cors = module("starlette.middleware.cors", """
import functools

class CORSMiddleware:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, functools.partial(self.send, send=send, more=1))

    async def send(self, message, send, more):
        await send(message)
""")
collecting = module("prometheus_fastapi_instrumentator.middleware", """
def around(app):
    async def wrapped(scope, receive, send):
        body = b""

        async def send_wrapper(message):
            nonlocal body
            body += message.get("body", b"")
            await send(message)
        await app(scope, receive, send_wrapper)
        assert body, "there was none"
    return wrapped
""")
file = responses.FileResponse(FILE)


def wrapping(app):
    """A layer that calls itself whatever it wraps, and makes upper case of bodies."""
    async def wrapped(scope, receive, send):
        @functools.wraps(send)
        async def sender(message):
            if "body" in message:
                message = dict(message, body=message["body"].upper())
            await send(message)
        await app(scope, receive, sender)
    return wrapped


class Reading(responses.FileResponse):
    """Its content is not that of the file."""
    def _open_file(self):
        with open(self.path, "rb") as f:
            return io.BytesIO(f.read().upper())


class Derived(responses.FileResponse):
    pass


class Handling(responses.FileResponse):
    """Sends in its own way."""
    async def _handle_simple(self, send, offered):
        async def upper(message):
            await send(dict(message, body=message["body"].upper()) if "body" in message else message)
        await super()._handle_simple(upper, offered)


def upper_file(self):
    with open(self.path, "rb") as f:
        return io.BytesIO(f.read().upper())


class Decorated(responses.FileResponse):
    _open_file = functools.wraps(responses.FileResponse._open_file)(upper_file)


async def patched(scope, receive, send):
    """As a test, or a library that instruments, does it."""
    usual, responses.FileResponse._open_file = responses.FileResponse._open_file, upper_file
    try:
        await file(scope, receive, send)
    finally:
        responses.FileResponse._open_file = usual


async def patched_instance(scope, receive, send):
    response = responses.FileResponse(FILE)
    response._open_file = types.MethodType(upper_file, response)
    await response(scope, receive, send)


async def background(scope, receive, send):
    """It changes its file in place when it has been sent."""
    handle, path = tempfile.mkstemp()
    os.write(handle, b"a line of the file\n" * 1000)
    response = responses.FileResponse(path)
    response.background = lambda: os.pwrite(handle, b"0" * 19000, 0)
    await response(scope, receive, send)
    response.background()
    os.close(handle)
    os.unlink(path)


async def no_background(scope, receive, send):
    response = responses.FileResponse(FILE)
    response.background = None
    await response(scope, receive, send)


class Shouting(cors.CORSMiddleware):
    async def send(self, message, send, more):
        if "body" in message:
            message = dict(message, body=message["body"].upper())
        await send(message)


def copying(how):
    async def copied(scope, receive, send):
        await file(dict(scope, extensions=how(scope["extensions"])), receive, send)
    return copied


async def asked_by_the_application(scope, receive, send):
    extensions = scope["extensions"]
    asked = ["http.response.pathsend" in extensions, "http.response.pathsend" in list(extensions), "http.response.pathsend" in dict(extensions),
             extensions.get("http.response.pathsend") is not None, await file.other(scope, receive, send)]
    own = dict(extensions) == extensions and isinstance(extensions, dict) and json.loads(json.dumps(extensions)) == extensions
    await as_json(send, {"asked": asked, "own": own, "trailers": "http.response.trailers" in extensions, "unknown": "x" in extensions})


async def unhashable(scope, receive, send):
    try:
        [] in scope["extensions"]
    except TypeError as e:
        await text(send, str(e))


class Path:
    """os.fspath() and str() disagree."""
    def __fspath__(self):
        return FILE


class Raising:
    count = 0

    def __fspath__(self):
        Raising.count += 1
        if Raising.count % 2:
            raise ValueError("the first time")
        return FILE


once, deep = handler.around(file), file
for _ in range(200):
    deep = handler.around(deep)
APPS = {
    "bare": file, "layer": once, "layers": handler.around(cors.CORSMiddleware(handler.around(cors.CORSMiddleware(file)))),
    "another": once, "wrapping": wrapping(file), "between": handler.around(wrapping(handler.around(file))), "shouting": Shouting(file),
    "reading": Reading(FILE), "derived": Derived(FILE), "handling": Handling(FILE), "decorated": Decorated(FILE),
    "patched": patched, "patched_instance": patched_instance, "background": background, "no_background": no_background,
    "collecting": handler.around(collecting.around(file)), "deep": deep, "pathlib": responses.FileResponse(pathlib.Path(FILE)),
    "bytes": responses.FileResponse(FILE.encode()), "path": responses.FileResponse(Path()), "raising": responses.FileResponse(Raising()),
    "copy": copying(copy.copy), "deepcopy": copying(copy.deepcopy), "dict": copying(dict), "method": copying(lambda e: e.copy()),
    "pickle": copying(lambda e: pickle.loads(pickle.dumps(e))), "unset": unset.around(file),
    "application": asked_by_the_application, "unhashable": unhashable,
}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await APPS[scope["path"].strip("/")](scope, receive, send)
