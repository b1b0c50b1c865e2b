# SPDX-License-Identifier: BSD-3-Clause
"""The file response of each framework behind each middleware that looks at bodies, or does not: /FRAMEWORK/MIDDLEWARE. And files that
change while they are sent: /changing/HOW."""

import os
import sys
import tempfile

from brotli_asgi import BrotliMiddleware
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.response import File
from quart import Quart, send_file
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from zstd_asgi import ZstdMiddleware

handle, FILE = tempfile.mkstemp(suffix=".txt")
os.write(handle, b"a line of the file\n" * 1000)
os.close(handle)


class Passes(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


class Reads(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        answer = await call_next(request)
        return Response(b"".join([piece async for piece in answer.body_iterator]), answer.status_code)


class Told(FileResponse):
    """Says whether http.response.pathsend was offered to it; by no method that sends, which would see to it that it is not."""
    def set_stat_headers(self, stat_result):
        super().set_stat_headers(stat_result)
        self.headers["offered"] = str(sys._getframe(1).f_locals["send_pathsend"])


class Shouts(Told):
    async def __call__(self, scope, receive, send):
        async def upper(message):
            if "body" in message:
                message = dict(message, body=message["body"].upper())
            await send(message)
        await super().__call__(scope, receive, upper)


def starlette():
    async def file(request):
        return Told(FILE)
    return Starlette(routes=[Route("/", file)])


def fastapi():
    app = FastAPI()
    app.get("/")(lambda: Told(FILE))
    return app


def litestar():
    @get("/")
    async def file() -> File:
        return File(path=FILE, filename="file.txt")
    return Litestar([file])


def quart():
    app = Quart(__name__)

    @app.get("/")
    async def file():
        return await send_file(FILE)
    return app


def behind(app):
    return {"plain": app, "gzip": GZipMiddleware(app), "base": Passes(app), "reads": Reads(app), "br": BrotliMiddleware(app),
            "zstd": ZstdMiddleware(app), "cors": CORSMiddleware(app, allow_origins=["*"]), "host": TrustedHostMiddleware(app),
            "base_gzip": Passes(GZipMiddleware(app)), "gzip_base": GZipMiddleware(Passes(app))}


class Changing(FileResponse):
    """The file changes between stat() and sending."""
    def __init__(self, how):
        handle, path = tempfile.mkstemp(suffix=".txt")
        os.write(handle, b"" if how == "empty" else b"a line of the file\n" * (1000000 if how == "large" else 1000))
        os.close(handle)
        super().__init__(path)
        self.how = how

    def set_stat_headers(self, stat_result):
        super().set_stat_headers(stat_result)
        if self.how == "vanishes":
            os.unlink(self.path)
        if self.how == "shrinks":
            os.truncate(self.path, 100)
        if self.how == "grows":
            with open(self.path, "ab") as f:
                f.write(b"and more\n" * 1000)


    async def __call__(self, scope, receive, send):
        try:
            await super().__call__(scope, receive, send)
            ended.append(self.how)
        finally:
            if self.how != "vanishes":
                os.unlink(self.path)


ended = []


async def change(request):
    return Changing(request.path_params["how"])


async def shout(request):
    return Shouts(FILE)


async def name(request):
    return PlainTextResponse(os.path.basename(FILE))


async def what_ended(request):
    return PlainTextResponse(" ".join(ended))


changing = Starlette(routes=[Route("/changing/{how}", change), Route("/shouts", shout), Route("/ended", what_ended), Route("/name", name),
                             Mount("/static", StaticFiles(directory=os.path.dirname(FILE)))])
apps = {f"/{make.__name__}/{name}": app for make in (starlette, fastapi, litestar, quart) for name, app in behind(make()).items()}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    if scope["path"] in apps:
        await apps[scope["path"]](dict(scope, path="/", raw_path=b"/"), receive, send)
    else:
        await changing(scope, receive, send)
