# SPDX-License-Identifier: BSD-3-Clause
"""Applications whose interface cannot be seen from outside, and bugs that look as if it were the wrong one."""


def _wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi"]


async def _asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"asgi"})


def wrap(name):
    """A decorator that keeps nothing of what it wraps."""
    def called(*args):
        return globals()[name](*args)
    return called


any_wsgi, any_asgi = wrap("_wsgi"), wrap("_asgi")
wsgi, asgi = _wsgi, _asgi


def returns(environ, start_response):
    """WSGI by its looks, and gives a coroutine."""
    return _asgi({}, None, None)


def _two(a, b):
    pass


async def asgi_with_bug(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    _two(1)


def wsgi_with_bug(environ, start_response):
    def view():
        _two(1)
    view()
