# SPDX-License-Identifier: BSD-3-Clause
"""The notebook with Starlette."""

import hashlib
import tempfile
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, \
    StreamingResponse
from starlette.routing import Route

from apps.frameworks.store import Meeting, Steps, Store, pieces

store = Store()


@asynccontextmanager
async def lifespan(app):
    await anyio.to_thread.run_sync(store.create)
    store.record("startup")
    app.state.steps, app.state.meeting = Steps(), Meeting()
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(range(256)) * 4096)
        file.flush()
        app.state.file = file.name
        yield
    store.record("shutdown")


async def index(request):
    return HTMLResponse(f"<h1>Notes</h1><p>{len(store.notes())} notes</p>")


async def notes(request):
    if request.method == "POST":
        note = await anyio.to_thread.run_sync(store.add_note, (await request.json())["text"])
        return JSONResponse(note, status_code=201, headers={"Location": f"/notes/{note['id']}"})
    return JSONResponse(await anyio.to_thread.run_sync(store.notes))


def note(request):
    """A plain function: Starlette runs it in a thread."""
    found = store.note(request.path_params["number"])
    if found is None:
        raise HTTPException(404)
    return JSONResponse(found)


async def upload(request):
    form = await request.form()
    file, digest, size = form["file"], hashlib.sha256(), 0
    while data := await file.read(65536):
        digest.update(data)
        size += len(data)
    return JSONResponse({"title": form["title"], "name": file.filename, "size": size, "sha256": digest.hexdigest()})


async def raw_upload(request):
    digest, size = hashlib.sha256(), 0
    async for data in request.stream():
        digest.update(data)
        size += len(data)
    return JSONResponse({"size": size, "sha256": digest.hexdigest()})


async def stream(request):
    return StreamingResponse(pieces(request.app.state.steps, request.path_params["name"]), media_type="text/plain")


async def release(request):
    request.app.state.steps.release(request.path_params["name"])
    return PlainTextResponse("released")


async def meet(request):
    await request.app.state.meeting.join(int(request.query_params["n"]))
    return PlainTextResponse("met")


async def jobs(request):
    number = store.add_job()

    async def work():
        await request.app.state.steps.wait(f"job.{number}")
        await anyio.to_thread.run_sync(store.finish_job, number, "done")

    return JSONResponse({"id": number}, status_code=202, background=BackgroundTask(work))


async def job(request):
    return JSONResponse(store.job(request.path_params["number"]))


async def old(request):
    return RedirectResponse("/", status_code=302)


async def file(request):
    return FileResponse(request.app.state.file, media_type="application/octet-stream")


async def boom(request):
    raise RuntimeError("boom was asked for")


async def not_found(request, error):
    return HTMLResponse("<h1>No such page</h1>", status_code=404)


async def server_error(request, error):
    return HTMLResponse("<h1>Something broke</h1>", status_code=500)


app = Starlette(
    routes=[
        Route("/", index), Route("/notes", notes, methods=["GET", "POST"]), Route("/notes/{number:int}", note),
        Route("/upload", upload, methods=["POST"]), Route("/raw", raw_upload, methods=["PUT"]),
        Route("/stream/{name}", stream), Route("/release/{name}", release, methods=["POST"]), Route("/meet", meet),
        Route("/jobs", jobs, methods=["POST"]), Route("/jobs/{number:int}", job), Route("/old", old),
        Route("/file", file), Route("/boom", boom),
    ],
    exception_handlers={404: not_found, 500: server_error},
    middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "test"])],
    lifespan=lifespan,
)
