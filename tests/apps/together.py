# SPDX-License-Identifier: BSD-3-Clause
"""Requests that come to a worker at once. /blocks keeps the loop until the file of its query is there, or for two seconds."""
import asyncio
import contextvars
import os
import time

seen = contextvars.ContextVar("seen")
order = []


async def answer(send, body, status=200, fields=()):
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-length", b"%d" % len(body)), *fields]})
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    path, query = scope["path"], scope["query_string"]
    assert seen.get(None) is None, "another request's context"
    seen.set(path)
    if path == "/order":
        return await answer(send, " ".join(order).encode())
    order.append(query.decode())
    if path == "/blocks":
        end = time.monotonic() + 2
        while not os.path.exists(query) and time.monotonic() < end:
            time.sleep(0.001)
        query = b"released" if os.path.exists(query) else b"has waited in vain"
    elif path == "/raises":
        raise RuntimeError("meant to")
    elif path == "/waits":
        await asyncio.sleep(0.01)
    elif path == "/task":
        query += b" " + asyncio.current_task().get_coro().__qualname__.encode()
    elif path == "/large":
        query *= 3000
    elif path == "/body":
        query = (await receive())["body"]
    await answer(send, query, fields=[(b"connection", b"close")] if path == "/closes" else [])
