"""The ASGI entry: lifespan, then the table of routes with 404, 405, HEAD and OPTIONS done right once for all."""

import asyncio
import itertools
import time

from . import answers, pages, uploads, worker

ROUTES = {
    "/": {"GET": pages.index},
    "/json": {"GET": worker.json_page},
    "/stream": {"GET": answers.stream},
    "/sse": {"GET": answers.sse},
    "/echo": {"GET": uploads.form, "POST": uploads.receive_upload, "PUT": uploads.receive_upload},
    "/scope": {"GET": worker.scope_page},
    "/sleep": {"GET": answers.sleep},
}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        await http(scope, receive, send)
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
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            tasks = scope.get("state", {}).get("tasks", ())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def http(scope, receive, send):
    # `path` begins with root_path when a proxy mounts the application under a prefix.
    path = scope["path"]
    root = scope.get("root_path", "")
    if root and path.startswith(root):
        path = path[len(root):] or "/"
    methods = ROUTES.get(path)
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
