# SPDX-License-Identifier: BSD-3-Clause
"""Bodies that come and go slowly, through whose fault it may be."""

import asyncio
import time

from apps.kit import as_json, body, dispatch, query, read_all, start, text
from apps.report import report

gate = asyncio.Event()


async def ok(scope, receive, send):
    await text(send, "ok")


async def echo(scope, receive, send):
    report(path="echo")
    await text(send, await read_all(receive))


async def answers_first(scope, receive, send):
    """Begins its answer, then reads."""
    await start(send)
    await body(send, b"first", more=True)
    data = await read_all(receive)
    await body(send, data)


async def reads_slowly(scope, receive, send):
    """Lets a time pass between two reads; how much came."""
    n, more = 0, True
    while more:
        await asyncio.sleep(0.02)
        message = await receive()
        if message["type"] == "http.disconnect":
            report(path="reads_slowly", lost=n)
            return
        n, more = n + len(message["body"]), message["more_body"]
    await as_json(send, n)


async def blocks(scope, receive, send):
    """Holds the event loop."""
    time.sleep(float(query(scope)["s"]))
    await text(send, "blocked")


async def held(scope, receive, send):
    """Does not read before the gate is open."""
    report(path="held")
    await gate.wait()
    await text(send, str(len(await read_all(receive))))


async def open_gate(scope, receive, send):
    gate.set()
    await text(send, "open")


async def large(scope, receive, send):
    """?n bytes, in pieces."""
    n = int(query(scope)["n"])
    await start(send, headers=[(b"content-length", b"%d" % n)])
    try:
        for at in range(0, n, 65536):
            await body(send, b"x" * min(65536, n - at), more=at + 65536 < n)
    except OSError:
        report(path="large", cut=True)
        raise


app = dispatch(ok, echo, answers_first, reads_slowly, blocks, held, open_gate, large)
