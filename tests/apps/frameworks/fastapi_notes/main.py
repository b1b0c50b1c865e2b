# SPDX-License-Identifier: BSD-3-Clause
"""The notebook with FastAPI: validation, dependencies and plain functions in threads."""

import hashlib
import tempfile

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from apps.frameworks.store import Meeting, Steps, Store, pieces

app = FastAPI(title="Notes")


class NewNote(BaseModel):
    text: str


class Note(NewNote):
    id: int


@app.on_event("startup")
def startup():
    store = Store()
    store.create()
    store.record("startup")
    app.state.store, app.state.steps, app.state.meeting = store, Steps(), None
    app.state.file = tempfile.NamedTemporaryFile()
    app.state.file.write(bytes(range(256)) * 4096)
    app.state.file.flush()


@app.on_event("shutdown")
async def shutdown():
    app.state.file.close()
    app.state.store.record("shutdown")


@app.middleware("http")
async def count_path(request, call_next):
    """Runs the application in a task group of its own and hands its messages on through a stream."""
    answer = await call_next(request)
    answer.headers["x-path-length"] = str(len(request.url.path))
    return answer


def database():
    """A dependency with a beginning and an end, run in a thread."""
    yield app.state.store


@app.get("/", response_class=HTMLResponse)
def index(store: Store = Depends(database)):
    return f"<h1>Notes</h1><p>{len(store.notes())} notes</p>"


@app.post("/notes", status_code=201, response_model=Note)
def add_note(note: NewNote, store: Store = Depends(database)):
    return store.add_note(note.text)


@app.get("/notes", response_model=list[Note])
def notes(store: Store = Depends(database)):
    return store.notes()


@app.get("/notes/{number}", response_model=Note)
async def note(number: int, store: Store = Depends(database)):
    found = store.note(number)
    if found is None:
        raise HTTPException(404)
    return found


@app.post("/upload")
async def upload(file: UploadFile = File(), title: str = Form()):
    digest, size = hashlib.sha256(), 0
    while data := await file.read(65536):
        digest.update(data)
        size += len(data)
    return {"title": title, "name": file.filename, "size": size, "sha256": digest.hexdigest()}


@app.put("/raw")
async def raw_upload(request: Request):
    digest, size = hashlib.sha256(), 0
    async for data in request.stream():
        digest.update(data)
        size += len(data)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/stream/{name}")
async def stream(name: str):
    return StreamingResponse(pieces(app.state.steps, name), media_type="text/plain")


@app.post("/release/{name}")
async def release(name: str):
    app.state.steps.release(name)
    return "released"


@app.get("/meet", response_class=PlainTextResponse)
async def meet(n: int):
    app.state.meeting = app.state.meeting or Meeting()
    await app.state.meeting.join(n)
    return "met"


@app.post("/jobs", status_code=202)
async def jobs(background: BackgroundTasks):
    number = app.state.store.add_job()

    async def work():
        await app.state.steps.wait(f"job.{number}")
        app.state.store.finish_job(number, "done")

    background.add_task(work)
    return {"id": number}


@app.get("/jobs/{number}")
async def job(number: int):
    return app.state.store.job(number)


@app.get("/old")
async def old():
    return RedirectResponse("/", status_code=302)


@app.get("/file")
async def file():
    return FileResponse(app.state.file.name, media_type="application/octet-stream")


@app.get("/boom")
async def boom():
    raise RuntimeError("boom was asked for")


@app.exception_handler(StarletteHTTPException)
async def refused(request, error):
    if error.status_code == 404:
        return HTMLResponse("<h1>No such page</h1>", status_code=404)
    return PlainTextResponse(str(error.detail), status_code=error.status_code)


@app.exception_handler(Exception)
async def server_error(request, error):
    return HTMLResponse("<h1>Something broke</h1>", status_code=500)
