# SPDX-License-Identifier: BSD-3-Clause
"""Applications that say which one they are and what they were told of the path; ASGI ones report their lifespans."""

import json

from apps.kit import as_json
from apps.report import report


def seen(name, scope):
    return dict(app=name, root_path=scope["root_path"], path=scope["path"], raw_path=scope["raw_path"].decode("latin-1"),
                state=scope.get("state", {}).get("name"))


def asgi(name, startup="complete", shutdown="complete"):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            report(app=name, step="startup")
            scope["state"]["name"] = name
            await send({"type": f"lifespan.startup.{startup}", "message": "the database is away"})
            await receive()
            report(app=name, step="shutdown")
            await send({"type": f"lifespan.shutdown.{shutdown}", "message": "the door is stuck"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": json.dumps(seen(name, scope))})
            message = await receive()
            await send({"type": "websocket.send", "text": f"{name} {message['text']}"})
            await receive()
        elif scope["path"].endswith("/hold"):
            report(app=name, step="hold")
            while (await receive())["type"] != "http.disconnect":
                pass
            report(app=name, step="gone")
        else:
            await as_json(send, seen(name, scope))
    return app


default, one, two, three = asgi("default"), asgi("one"), asgi("two"), asgi("three")
failing = asgi("failing", startup="failed")


async def stuck(scope, receive, send):
    """Its shut-down never ends."""
    await receive()
    report(app="stuck", step="startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    report(app="stuck", step="shutdown")
    await receive()


def wsgi(environ, start_response):
    value = {name: environ[name] for name in ("SCRIPT_NAME", "PATH_INFO", "RAW_URI", "QUERY_STRING", "wsgi.multithread")}
    data = json.dumps(dict(value, app="wsgi")).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
