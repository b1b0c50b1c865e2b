# SPDX-License-Identifier: BSD-3-Clause
"""Quart's WebSockets: /ws sends back what comes, "close" ends it with 4002; /refused is refused."""

from quart import Quart, abort, websocket

app = Quart(__name__)


@app.websocket("/ws")
async def talk():
    await websocket.accept(subprotocol="chat")
    while True:
        message = await websocket.receive()
        if message == "close":
            await websocket.close(4002)
            return
        await websocket.send(message)


@app.websocket("/refused")
async def refuse():
    abort(403)
