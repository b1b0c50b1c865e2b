# SPDX-License-Identifier: BSD-3-Clause
"""Applications that break an answer off in the turn of the loop in which it began, one way each, chosen by path. ASGI `app`,
WSGI `wsgi`."""

from apps.kit import body, dispatch, start, text

TRAILERS = {"trailers": True}


async def ok(scope, receive, send):
    await text(send, "ok")


async def raises(scope, receive, send):
    await start(send)
    await body(send, b"x", more=True)
    raise ValueError("after a piece")


async def five(scope, receive, send):
    await start(send)
    await body(send, b"12345", more=True)
    raise ValueError("after five bytes")


async def returns(scope, receive, send):
    await start(send)
    await body(send, b"x", more=True)


async def short(scope, receive, send):
    await start(send, headers=[(b"content-length", b"10")])
    await body(send, b"x")


async def no_file(scope, receive, send):
    await start(send)
    await body(send, b"x", more=True)
    await send({"type": "http.response.pathsend", "path": "/nonexistent/file"})


async def bad_trailers(scope, receive, send):
    await start(send, **TRAILERS)
    await body(send, b"x")
    await send({"type": "http.response.trailers", "headers": [(b"content-length", b"1")]})


async def no_trailers(scope, receive, send):
    await start(send, **TRAILERS)
    await body(send, b"x")


async def hint(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    await raises(scope, receive, send)


async def empty(scope, receive, send):
    """The head was asked for by an empty piece."""
    await start(send)
    await body(send, b"", more=True)
    await body(send, b"", more=True)
    raise ValueError("after nothing")


app = dispatch(ok, raises, five, returns, short, no_file, bad_trailers, no_trailers, hint, empty)


def yields(start_response):
    start_response("200 OK", [])
    yield b"x"
    raise ValueError("after a piece")


def writes(start_response):
    start_response("200 OK", [])(b"x")
    raise ValueError("after write()")


def writes_and_yields(start_response):
    def rest():
        raise ValueError("in the iterable")
        yield
    start_response("200 OK", [])(b"x")
    return rest()


def starts_again(start_response):
    start_response("200 OK", [])
    yield b"x"
    try:
        raise ValueError("the reason")
    except ValueError as e:
        start_response("500 Sorry", [], (type(e), e, e.__traceback__))


def short_wsgi(start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return [b"x"]


WSGI = {"/yields": yields, "/writes": writes, "/writes_and_yields": writes_and_yields, "/starts_again": starts_again,
        "/short": short_wsgi}


def wsgi(environ, start_response):
    return WSGI[environ["PATH_INFO"]](start_response)
