# SPDX-License-Identifier: BSD-3-Clause
"""Applications of odd shapes, for finding out what they are."""


class Legacy:
    """ASGI 2."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        if self.scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = self.scope["asgi"]["version"].encode() + b" " + (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


def legacy(scope):
    return Legacy(scope)


class Iterable:
    """PEP 3333: calling the class makes the body."""

    def __init__(self, environ, start_response):
        self.start = start_response

    def __iter__(self):
        self.start("200 OK", [("Content-Type", "text/plain")])
        yield b"a class"


class Object:
    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"an object"]


instance = Object()


def make(config=None):
    return instance


def neither(a, b, c, d):
    raise AssertionError("must not be called")


class Neither:
    """Somebody forgot to make one."""

    async def __call__(self, scope, receive, send):
        raise AssertionError("must not be called")


def wrapper(application):
    def wrapped(*args, **kwargs):
        return application(*args, **kwargs)
    return wrapped


wrapped_instance = wrapper(wrapper(instance))
