# SPDX-License-Identifier: BSD-3-Clause
"""What an application notices when its client goes away."""

import asyncio

from apps.kit import body, dispatch, query, start, text
from apps.report import report


async def ok(scope, receive, send):
    await text(send, "ok")


async def receives(scope, receive, send):
    """Reports every event up to the disconnect, the next one, and what send() says then."""
    got = []
    report(path="receives", state="running")
    while True:
        message = await receive()
        got.append(message["type"])
        if message["type"] == "http.disconnect":
            break
    again = (await receive())["type"]
    try:
        await text(send, "too late")
        error = None
    except Exception as e:
        error = [isinstance(e, OSError), type(e).__name__]
    report(path="receives", state="over", got=got, again=again, error=error)


async def raises_oserror(scope, receive, send):
    """Lets the error of send() through: no fault of its own."""
    report(path="raises_oserror", state="running")
    while (await receive())["type"] != "http.disconnect":
        pass
    report(path="raises_oserror", state="gone")
    await text(send, "too late")


async def never_receives(scope, receive, send):
    """Answers after some turns of the loop, without a look at the client."""
    report(path="never_receives", state="running")
    await asyncio.sleep(0.2)
    await text(send, "answered")


async def streams(scope, receive, send):
    """Sends for ever; reports what ended it."""
    try:
        await start(send)
        await body(send, b"first", more=True)
        report(path="streams", state="running")
        while True:
            await body(send, b"x" * 10000, more=True)
    except BaseException as e:
        report(path="streams", state="over", error=[isinstance(e, OSError), type(e).__name__], tag=query(scope).get("tag"))
        raise


async def streams_and_listens(scope, receive, send):
    """A stream with a listener for the disconnect beside it, as Starlette does it."""
    async def listen():
        while (await receive())["type"] != "http.disconnect":
            pass
    await start(send)
    await body(send, b"first", more=True)
    listener = asyncio.ensure_future(listen())
    report(path="streams_and_listens", state="running")
    await listener
    report(path="streams_and_listens", state="over")


async def keeps_sending(scope, receive, send):
    """Every send() after the end raises."""
    await start(send)
    errors = 0
    while errors < 3:
        try:
            await body(send, b"x" * 10000, more=True)
            await asyncio.sleep(0)
        except OSError:
            errors += 1
    report(path="keeps_sending", errors=errors)


async def cancelled(scope, receive, send):
    """Waits for something else: a disconnect does not cancel it."""
    report(path="cancelled", state="running")
    await asyncio.sleep(0.3)
    try:
        await text(send, "nobody reads")
    finally:
        report(path="cancelled", state="over")


async def sends_at_once(scope, receive, send):
    """One large piece, the last; reports whether send() took it."""
    try:
        await start(send)
        await body(send, b"x" * 100000)
        error = None
    except Exception as e:
        error = repr(e)
    report(path="sends_at_once", error=error)


async def ends_later(scope, receive, send):
    """Sends a hundred pieces to a client that has left; between them the loop runs."""
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)
    await start(send)
    report(path="ends_later", state="running")
    while (await receive())["type"] != "http.disconnect":
        pass
    counter = asyncio.ensure_future(count())
    try:
        for _ in range(100):
            await body(send, b"x", more=True)
        await body(send, b"")
        error = None
    except BaseException as e:
        error = repr(e)
    counter.cancel()
    report(path="ends_later", state="over", error=error, turns=turns)


app = dispatch(ok, ends_later, sends_at_once, receives, raises_oserror, never_receives, streams, streams_and_listens, keeps_sending, cancelled)
