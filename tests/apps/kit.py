# SPDX-License-Identifier: BSD-3-Clause
"""What the test applications share: choosing a function by the first part of the path, short forms of messages."""

import json
from urllib.parse import parse_qsl


def dispatch(*functions):
    """An application that calls the function named by the path's first part; no lifespan."""
    table = {f.__name__: f for f in functions}

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        return await table[scope["path"].split("/")[1]](scope, receive, send)
    return app


def query(scope):
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


async def start(send, status=200, headers=(), **more):
    await send({"type": "http.response.start", "status": status, "headers": list(headers), **more})


async def body(send, data=b"", more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def text(send, data, status=200, headers=()):
    """A whole answer with its length."""
    data = data.encode() if isinstance(data, str) else data
    await start(send, status, [(b"content-length", b"%d" % len(data)), *headers])
    await body(send, data)


async def as_json(send, value, headers=()):
    await text(send, json.dumps(value), headers=[(b"content-type", b"application/json"), *headers])


async def read_all(receive):
    """The whole request body; what came of it if the client goes away before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
