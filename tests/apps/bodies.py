# SPDX-License-Identifier: BSD-3-Clause
"""Ways to take a request body, one each, chosen by path."""

import asyncio
import hashlib

from apps.kit import as_json, body, dispatch, query, read_all, start, text
from apps.report import report


async def events(scope, receive, send):
    """Every event up to the end of the body, and the headers."""
    seen = []
    while True:
        message = await receive()
        seen.append([message["type"], message.get("body", b"").decode("latin-1"), message.get("more_body", False),
                     sorted(message)])
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    await as_json(send, {"events": seen, "headers": [[k.decode(), v.decode("latin-1")] for k, v in scope["headers"]]})


async def echo(scope, receive, send):
    await text(send, await read_all(receive))


async def digest(scope, receive, send):
    """Length and SHA-256 of the body, taken piece by piece."""
    n, h = 0, hashlib.sha256()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        n += len(message["body"])
        h.update(message["body"])
        if not message["more_body"]:
            break
    await as_json(send, [n, h.hexdigest()])


async def unread(scope, receive, send):
    """Answers without a look at the body."""
    report(path="unread", query=query(scope))
    await text(send, "unread")


async def unread_stream(scope, receive, send):
    await start(send)
    await body(send, b"unread", more=True)
    await body(send)


async def first_part(scope, receive, send):
    """Takes one event, then answers."""
    message = await receive()
    await text(send, message["body"][:1])


async def second_receive(scope, receive, send):
    """Whether receive() waits once the body is over, and what it says when the client goes."""
    await read_all(receive)
    waiting = asyncio.ensure_future(receive())
    for _ in range(20):
        await asyncio.sleep(0)
    report(path="second_receive", waits=not waiting.done())
    message = await waiting
    again = await receive()
    report(path="second_receive", got=message["type"], again=again["type"])


async def receive_after_answer(scope, receive, send):
    await read_all(receive)
    await text(send, "ok")
    got = [(await receive())["type"] for _ in range(3)]
    report(path="receive_after_answer", got=got, tag=query(scope).get("tag"))


async def receive_after_unread_answer(scope, receive, send):
    await text(send, "ok")
    report(path="receive_after_unread_answer", got=[(await receive())["type"]])


async def cancelled_receive(scope, receive, send):
    """A receive() that was given up loses nothing."""
    waiting = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    report(path="cancelled_receive", state="cancelled")
    await text(send, await read_all(receive))


async def no_await(scope, receive, send):
    """Makes the awaitable of receive() and drops it."""
    receive().close()
    await text(send, await read_all(receive))


async def two_receivers(scope, receive, send):
    """Two receive() calls at a time: each event comes once, or the second is refused; never a crash."""
    async def one():
        try:
            found = (await receive()).get("body", b"").decode()
        except Exception as e:
            found = type(e).__name__
        report(path="two_receivers", found=found)
        return found
    await as_json(send, await asyncio.gather(one(), one()))


app = dispatch(events, echo, digest, unread, unread_stream, first_part, second_receive, receive_after_answer,
               receive_after_unread_answer, cancelled_receive, no_await, two_receivers)
