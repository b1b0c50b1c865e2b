# SPDX-License-Identifier: BSD-3-Clause
"""Litestar: typed handlers, msgspec models, lifespan hooks and a stream."""

from dataclasses import dataclass

from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.response import Stream


@dataclass
class Item:
    id: int
    name: str


async def startup(app: Litestar) -> None:
    app.state.started = True


@get("/")
async def index(state: State) -> dict:
    return {"hello": "litestar", "started": state.started}


@get("/items/{number:int}")
async def item(number: int) -> Item:
    return Item(number, f"item {number}")


@post("/items")
async def add(data: Item) -> Item:
    return data


@get("/stream")
async def stream() -> Stream:
    async def numbers():
        for number in range(100):
            yield f"{number}\n"

    return Stream(numbers(), media_type="text/plain")


app = Litestar([index, item, add, stream], on_startup=[startup])
