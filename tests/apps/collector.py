# SPDX-License-Identifier: BSD-3-Clause
"""What Python's garbage collector sees of the application (app.gc_freeze): `app`, and `wsgi`."""
import gc
import json
import os
import weakref

if os.environ.get("COLLECTOR") == "off":
    gc.disable()


class Node:
    def __init__(self):
        self.itself = self


there_to_stay = Node()
dropped = Node()
began = weakref.ref(dropped)
del dropped  # garbage since the import


def a_request_leaves_garbage():
    """Whether the collector finds it."""
    node = Node()
    seen = weakref.ref(node)
    del node
    gc.collect()
    return seen() is None


def report():
    return {"frozen": gc.get_freeze_count(), "listed": any(o is there_to_stay for o in gc.get_objects()), "enabled": gc.isenabled(),
            "import's garbage is gone": began() is None}


def answer(path):
    if path == "/garbage":
        return a_request_leaves_garbage()
    if path == "/unfreeze":
        gc.unfreeze()
    return report()


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = json.dumps(answer(scope["path"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ, start_response):
    body = json.dumps(answer(environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
