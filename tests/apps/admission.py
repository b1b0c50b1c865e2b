# SPDX-License-Identifier: BSD-3-Clause
"""Requests that take their time, and say when they begin and when they are cancelled."""

import asyncio
import random

from apps.kit import body, dispatch, query, start, text
from apps.report import report


async def hold(scope, receive, send):
    """Until its connection is gone: then the call goes on, but the request is over."""
    report(path="hold", name=query(scope)["name"])
    while (await receive())["type"] != "http.disconnect":
        pass


async def quick(scope, receive, send):
    report(path="quick", name=query(scope).get("name", ""))
    await text(send, "quick")


async def asleep(scope, receive, send):
    report(path="asleep")
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        report(path="asleep", state="cancelled")
        raise


async def asleep_in_answer(scope, receive, send):
    await start(send)
    await body(send, b"begun", more=True)
    await asleep(scope, receive, send)


async def large_in_answer(scope, receive, send):
    """More than any buffer takes: the client has to read."""
    await start(send)
    await body(send, bytes(20 << 20), more=True)


async def large_answer(scope, receive, send):
    report(path="large_answer")
    await start(send, headers=[(b"content-type", b"text/plain")])
    await body(send, random.Random(1).randbytes(20 << 20))


app = dispatch(hold, quick, asleep, asleep_in_answer, large_in_answer, large_answer)
