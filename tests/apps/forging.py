# SPDX-License-Identifier: BSD-3-Clause
"""Lets what a client sends reach every log: raises it, answers with it, is slow with it."""

import asyncio
from urllib.parse import unquote_to_bytes

from apps.kit import text


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    said = unquote_to_bytes(scope["query_string"])
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            pass
        raise ValueError(message.get("reason"))
    if scope["path"] == "/raise":
        raise ValueError(said.decode("utf-8", "surrogateescape"))
    if scope["path"] == "/latin":
        raise ValueError(said.decode("latin-1"))
    if scope["path"].startswith("/slow"):
        await asyncio.sleep(0.02)
    if scope["path"] == "/field":
        await text(send, "x", headers=[(b"x-kept", said)])
        return
    await text(send, "x")
