# SPDX-License-Identifier: BSD-3-Clause
"""nest_asyncio in a request: it replaces methods of the running loop, to run that once more inside itself."""

import asyncio

from apps.report import report


async def late():
    report(event="nests")
    await asyncio.sleep(0.05)
    return "nested"


def attempt():
    import nest_asyncio
    try:
        nest_asyncio.apply()
        return asyncio.get_event_loop().run_until_complete(late())
    except RuntimeError as error:
        return str(error)


async def app(scope, receive, send):
    assert scope["type"] == "http"
    said = attempt() if scope["path"] == "/nests" else await late()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said.encode()})
