# SPDX-License-Identifier: BSD-3-Clause
"""Requests that come to a worker at once. /blocks keeps the loop until the file of its query is there, or for two seconds."""
import asyncio
import contextvars
import os
import time

from apps.report import report

seen = contextvars.ContextVar("seen")
order = []


async def answer(send, body, status=200, fields=()):
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-length", b"%d" % len(body)), *fields]})
    await send({"type": "http.response.body", "body": body})


def block(path):
    """Whether the file came in time."""
    end = time.monotonic() + 2
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.001)
    return os.path.exists(path)


async def step_before(function, *args):
    """Returns in a turn of the loop that calls the function after what the caller does next."""
    future = asyncio.get_running_loop().create_future()

    def go():
        future.add_done_callback(lambda _: function(*args))
        future.set_result(None)
    asyncio.get_running_loop().call_soon(go)
    await future


def send_late(send):
    try:
        send({"type": "http.response.start", "status": 200}).send(None)
    except StopIteration:
        order.append("ignored")


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
        query = b"released" if block(query) else b"has waited in vain"
    elif path == "/leaves":
        await step_before(send_late, send)
        report(event="runs")
        assert block(query), "the client has not gone in time"
        return None
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
