# SPDX-License-Identifier: BSD-3-Clause
"""Answers with the fields that tie a request to its traces, as JSON; /fails raises. app: ASGI, WebSockets as well; wsgi: WSGI."""

import json

NAMES = ("x-request-id", "traceparent", "tracestate", "x-last")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    found = {name: [v.decode("latin-1") for k, v in scope["headers"] if k == name.encode()] for name in NAMES}
    if scope["path"] == "/fails":
        raise ValueError("on purpose")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(found)})
        await receive()
        return
    headers = [(b"x-request-id", b"of-the-application")] if scope["path"] == "/own" else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})


def wsgi(environ, start_response):
    found = {name: [v] if (v := environ.get("HTTP_" + name.upper().replace("-", "_"))) is not None else [] for name in NAMES}
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("on purpose")
    start_response("200 OK", [])
    return [json.dumps(found).encode()]
