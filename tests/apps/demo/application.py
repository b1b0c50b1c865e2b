# SPDX-License-Identifier: BSD-3-Clause
"""The ASGI entry: lifespan, then the table of routes with 404, 405, HEAD and OPTIONS done right once for all."""

import asyncio
import itertools
import time

from . import answers, chat, pages, uploads, worker

ROUTES = {
    "/": {"GET": pages.index},
    "/json": {"GET": worker.json_page},
    "/stream": {"GET": answers.stream},
    "/sse": {"GET": answers.sse},
    "/echo": {"GET": uploads.form, "POST": uploads.receive_upload, "PUT": uploads.receive_upload},
    "/scope": {"GET": worker.scope_page},
    "/sleep": {"GET": answers.sleep},
    "/chat": {"GET": chat.page},
}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        await http(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        raise NotImplementedError(f"the demo does not speak {scope['type']}")


async def lifespan(scope, receive, send):
    """What is put in the state here is seen by every request of this worker."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            if "state" in scope:
                scope["state"]["started"] = time.monotonic()
                scope["state"]["numbers"] = itertools.count(1)
                scope["state"]["tasks"] = set()
                scope["state"]["room"] = chat.Room()
                await scope["state"]["room"].open()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            tasks = scope.get("state", {}).get("tasks", ())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if "state" in scope:
                scope["state"]["room"].close()
            await send({"type": "lifespan.shutdown.complete"})
            return


def path_of(scope):
    """`path` begins with root_path when a proxy mounts the application under a prefix."""
    path = scope["path"]
    root = scope.get("root_path", "")
    return path[len(root):] or "/" if root and path.startswith(root) else path


async def websocket(scope, receive, send):
    if path_of(scope) == "/chat/ws":
        await chat.visit(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close"})


async def http(scope, receive, send):
    methods = ROUTES.get(path_of(scope))
    if methods is None:
        await answers.problem(scope, send, 404, "There is no such page.")
        return
    allowed = sorted(set(methods) | ({"HEAD"} if "GET" in methods else set()) | {"OPTIONS"})
    allow = (b"allow", ", ".join(allowed).encode())
    method = scope["method"]
    if method == "OPTIONS":
        await answers.empty(send, 204, [allow])
    elif method in methods:
        await methods[method](scope, receive, send)
    elif method == "HEAD" and "GET" in methods:
        # The server drops the body of an answer to HEAD; an endless one should not be made in the first place.
        await methods["GET"](scope, receive, answers.head_only(send))
    else:
        await answers.problem(scope, send, 405, f"{method} is not for this page.", [allow])
