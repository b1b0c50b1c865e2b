# SPDX-License-Identifier: BSD-3-Clause
"""Tells in a field of an empty answer what it was asked, so that nothing of it can be lost or added on the way unseen. The
body of the answer is empty: what framed it can never hide what it was. A WebSocket is accepted and left alone."""

import hashlib

from apps.kit import read_all, text


async def app(scope, receive, send):
    if scope["type"] not in ("http", "websocket"):
        raise NotImplementedError(scope["type"])
    seen = [scope.get("method"), scope["http_version"], scope["path"], scope["raw_path"], scope["query_string"],
            *scope["headers"]]
    if scope["type"] == "http":
        seen.append(await read_all(receive))
    fields = [(b"x-seen", hashlib.sha1(repr(seen).encode()).hexdigest().encode())]
    if scope["type"] == "http":
        await text(send, "", headers=fields)
        return
    await receive()
    await send({"type": "websocket.accept", "headers": fields})
    while (await receive())["type"] != "websocket.disconnect":
        pass
