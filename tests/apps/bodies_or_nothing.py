# SPDX-License-Identifier: BSD-3-Clause
"""Reads the whole body, then answers with an empty one: what framed the answer can never hide what it was. A WebSocket is
accepted and left alone."""

from apps.kit import read_all, text


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await read_all(receive)
    await text(send, "")
