# SPDX-License-Identifier: BSD-3-Clause
"""The file response of each framework behind each middleware that looks at bodies: /FRAMEWORK/MIDDLEWARE."""

import os
import tempfile

from brotli_asgi import BrotliMiddleware
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.response import File
from quart import Quart, send_file
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response
from starlette.routing import Route
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


def starlette():
    async def file(request):
        return FileResponse(FILE)
    return Starlette(routes=[Route("/", file)])


def fastapi():
    app = FastAPI()
    app.get("/")(lambda: FileResponse(FILE))
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
            "zstd": ZstdMiddleware(app), "base_gzip": Passes(GZipMiddleware(app)), "gzip_base": GZipMiddleware(Passes(app))}


apps = {f"/{make.__name__}/{name}": app for make in (starlette, fastapi, litestar, quart) for name, app in behind(make()).items()}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    await apps[scope["path"]](dict(scope, path="/", raw_path=b"/"), receive, send)
