# SPDX-License-Identifier: BSD-3-Clause
"""FastAPI with pydantic 2: models checked in Rust, lifespan state, uploads and a stream."""

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime

import fastapi
import pydantic
from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


class Order(BaseModel):
    name: str
    amount: int
    at: datetime


class Confirmed(Order):
    started: bool


@asynccontextmanager
async def lifespan(app):
    yield {"started": True}


app = FastAPI(title="Orders", lifespan=lifespan)


@app.get("/")
async def facts():
    return {"fastapi": fastapi.__version__, "pydantic": pydantic.VERSION}


@app.post("/orders", status_code=201)
async def order(order: Order, request: Request) -> Confirmed:
    return Confirmed(**order.model_dump(), started=request.state.started)


@app.post("/upload")
async def upload(file: UploadFile):
    return {"name": file.filename, "size": len(await file.read())}


@app.get("/stream")
def stream():
    """A plain iterator: each piece is made in a thread."""
    return StreamingResponse((f"{number}\n" for number in range(100)), media_type="text/plain")


ended = asyncio.Queue()


@app.get("/waits")
async def waits():
    """As a proxy of a language model: one token, and then it waits for the next."""
    async def tokens():
        try:
            yield "first\n"
            await asyncio.sleep(3600)
        except BaseException as e:
            ended.put_nowait(type(e).__name__)
            raise
    return StreamingResponse(tokens(), media_type="text/event-stream")


@app.get("/ended")
async def how_it_ended():
    return await ended.get()
