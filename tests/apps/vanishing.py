# SPDX-License-Identifier: BSD-3-Clause
"""Counts how calls begin and end, for clients that vanish: every call that began must end, and one that waits for more hears
that there is none."""

from apps.kit import as_json, text

counts = {"http": 0, "websocket": 0, "whole": 0, "disconnect": 0, "error": 0}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["path"] == "/counts":
        await as_json(send, counts)
        return
    counts[scope["type"]] += 1
    try:
        await (websocket if scope["type"] == "websocket" else http)(receive, send)
    except OSError:  # of a send() to nobody
        counts["disconnect"] += 1
    except Exception:
        counts["error"] += 1
        raise


async def http(receive, send):
    """Reads all, answers, and waits for the client to go when it has not gone already."""
    while (message := await receive())["type"] == "http.request":
        if not message["more_body"]:
            await text(send, "whole")
            counts["whole"] += 1
            return
    counts["disconnect"] += 1


async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or "bytes"})
    counts["disconnect"] += 1
