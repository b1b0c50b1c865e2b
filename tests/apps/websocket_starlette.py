# SPDX-License-Identifier: BSD-3-Clause
"""Starlette's WebSockets: /ws sends back what comes, "close" ends it with 4002; /refused is refused."""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect


async def talk(websocket):
    await websocket.accept(subprotocol="chat")
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") == "close":
                await websocket.close(4002)
                return
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass


async def refuse(websocket):
    await websocket.close()


app = Starlette(routes=[WebSocketRoute("/ws", talk), WebSocketRoute("/refused", refuse)])
