# SPDX-License-Identifier: BSD-3-Clause
"""Large bodies both ways, taken and given at the test's pace."""

import asyncio

from apps.kit import body, dispatch, query, start, text
from apps.report import report


async def ignores_upload(scope, receive, send):
    """Looks at the upload only when the test says so, by a second request."""
    global go
    go = asyncio.Event()
    report(path="ignores_upload", state="waiting")
    await go.wait()
    n = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        n += len(message["body"])
        if not message["more_body"]:
            break
    await text(send, str(n))


async def release(scope, receive, send):
    go.set()
    await text(send, "released")


async def sips(scope, receive, send):
    """Takes a piece of the upload now and then."""
    n = 0
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        n += len(message["body"])
        await asyncio.sleep(0.002)
    report(path="sips", n=n)
    await text(send, str(n))


async def download(scope, receive, send):
    """?mb=N in messages of ?part bytes; reports how far it came."""
    q = query(scope)
    part, sent, total = b"d" * int(q.get("part", 65536)), 0, int(q["mb"]) << 20
    await start(send, headers=[(b"content-length", b"%d" % total)])
    try:
        while sent < total:
            await body(send, part[:total - sent], more=True)
            sent += len(part)
        await body(send)
    finally:
        report(path="download", sent=sent)


async def one_message(scope, receive, send):
    await text(send, b"d" * (int(query(scope)["mb"]) << 20))


async def hello(scope, receive, send):
    await text(send, "Hello, World!")


app = dispatch(ignores_upload, release, sips, download, one_message, hello)
