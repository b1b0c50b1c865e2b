# SPDX-License-Identifier: BSD-3-Clause
"""FastAPI and Starlette as people use them."""
import asyncio
import os
import tempfile

from fastapi import BackgroundTasks, Depends, FastAPI, File, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

app = FastAPI()
HELLO = {"message": "Hello, World!"}
FOLDER = tempfile.mkdtemp(prefix="bench-files-")
with open(os.path.join(FOLDER, "20KB.txt"), "wb") as f:
    f.write(b"0123456789abcdef" * 1250)
with open(os.path.join(FOLDER, "rows.html"), "w") as f:
    f.write("<ul>{% for row in rows %}<li>{{ row }}</li>{% endfor %}</ul>")
templates = Jinja2Templates(FOLDER)


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


@app.get("/async")
async def as_async():
    return HELLO


@app.get("/def")
def as_def():
    return HELLO


@app.post("/model")
async def model(item: Item):
    return item


def dependency():
    return 1


async def async_dependency():
    return 2


@app.get("/dependencies")
async def dependencies(a=Depends(dependency), b=Depends(async_dependency)):
    return {"a": a, "b": b}


@app.get("/stream")
async def stream():
    async def chunks():
        for _ in range(20):
            yield b"x" * 512
    return StreamingResponse(chunks())


@app.get("/stream-sync")
def stream_sync():
    return StreamingResponse(b"x" * 512 for _ in range(5))


@app.get("/events")
async def events():
    async def some():
        for i in range(10):
            yield f"data: {i}\n\n"
            await asyncio.sleep(0)
    return StreamingResponse(some(), media_type="text/event-stream")


@app.post("/upload")
async def upload(file: UploadFile = File()):
    return {"n": len(await file.read())}


@app.get("/template")
async def template(request: Request):
    return templates.TemplateResponse(request, "rows.html", {"rows": range(20)})


@app.websocket("/ws/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


@app.get("/background")
async def background(tasks: BackgroundTasks):
    tasks.add_task(asyncio.sleep, 0)
    return HELLO


@app.get("/file")
async def file():
    return FileResponse(os.path.join(FOLDER, "20KB.txt"))


app.mount("/static", StaticFiles(directory=FOLDER))


class Adds(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-added"] = "yes"
        return response


wrapped = FastAPI()
wrapped.add_middleware(Adds)
wrapped.add_middleware(Adds)


@wrapped.get("/middleware")
async def middleware():
    return HELLO


app.mount("/wrapped", wrapped)
