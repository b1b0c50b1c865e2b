# SPDX-License-Identifier: BSD-3-Clause
"""Every way in which a field can leave an ASGI application: tries what must not leave, counts the refusals, and then answers
with the count in x-refused and with `fine` in x-fine."""

from urllib.parse import unquote_to_bytes

from apps.kit import body, query

BAD = [bytes([c]) for c in (*range(9), *range(10, 32), 127)] + [b"\r\nx-injected: 1", b"\r\n\r\n<html>", b"\nx-injected: 1", b"\r"]
NO_NAME = [bytes([c]) for c in range(256) if not (chr(c).isascii() and chr(c).isalnum() or chr(c) in "!#$%&'*+-.^_`|~")]
LAST = b" \t!" + bytes(range(0x23, 0x7f)) + bytes(range(0x80, 0x100))
REFUSALS = len(BAD) * 2 + len(NO_NAME) * 2 + 1


def fields():
    """Lists of headers with one that is bad, at any place in it."""
    for octets in BAD:
        yield [(b"x-ok", b"1"), (b"x-bad", b"a" + octets + b"b")]
        yield [(b"x-bad", octets), (b"x-ok", b"1")]
    for octets in NO_NAME:
        yield [(b"x-bad" + octets, b"1")]
        yield [(octets + b"x-bad", b"1")]
    yield [(b"", b"1")]


async def refusals(send, message, key, values):
    n = 0
    for value in values:
        try:
            await send({**message, key: value})
        except ValueError:
            n += 1
    return n


def told(n):
    return [(b"x-refused", b"%d" % n), (b"x-fine", b"a" + LAST + b"b")]


async def start(scope, receive, send):
    message = {"type": "http.response.start", "status": 200}
    n = await refusals(send, message, "headers", fields())
    await send({**message, "headers": told(n)})
    await body(send, b"ok")


async def generator(scope, receive, send):
    message = {"type": "http.response.start", "status": 200}
    n = await refusals(send, message, "headers", ((list(pair) for pair in headers) for headers in fields()))
    await send({**message, "headers": iter(told(n))})
    await body(send, b"ok")


async def trailers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
    await body(send, b"ok")
    n = await refusals(send, {"type": "http.response.trailers"}, "headers", fields())
    await send({"type": "http.response.trailers", "headers": told(n)})


async def early_hint(scope, receive, send):
    n = await refusals(send, {"type": "http.response.early_hint"}, "links", ([b"</a>", octets] for octets in BAD))
    await send({"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]})
    await send({"type": "http.response.start", "status": 200, "headers": told(n)})
    await body(send, b"ok")


async def location(scope, receive, send):
    """Sends the client where it asks, as a careless application does."""
    to = unquote_to_bytes(query(scope)["to"])
    await send({"type": "http.response.start", "status": 302, "headers": [(b"location", to)]})
    await body(send)


async def accept(scope, receive, send):
    message = {"type": "websocket.accept"}
    n = await refusals(send, message, "headers", fields())
    n += await refusals(send, message, "subprotocol", ["chat" + octets.decode("latin-1") for octets in BAD])
    await send({**message, "subprotocol": "chat", "headers": told(n)})


async def denial(scope, receive, send):
    message = {"type": "websocket.http.response.start", "status": 403}
    n = await refusals(send, message, "headers", fields())
    await send({**message, "headers": told(n)})
    await send({"type": "websocket.http.response.body", "body": b"no"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await receive()
    await {f.__name__: f for f in (start, generator, trailers, early_hint, location, accept, denial)}[scope["path"][1:]](scope, receive, send)


def wsgi(environ, start_response):
    """The same by start_response(); /again: a second time, with what is told of an exception; /reason: behind the status."""
    path, n = environ["PATH_INFO"], 0
    try:
        raise RuntimeError
    except RuntimeError as e:
        again = (None, (type(e), e, e.__traceback__))[path == "/again"]
    fine = [(name.decode(), value.decode("latin-1")) for name, value in told(0)]
    if path == "/again":
        start_response("200 OK", fine)
    for headers in fields():
        try:
            start_response("200 OK", [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers], again)
        except ValueError:
            n += 1
    fine[0] = ("x-refused", str(n))
    start_response("200 OK\r\nx-injected: 1\r\n\r\n<html>" if path == "/reason" else "200 OK", fine, again)
    return [b"ok"]
