# SPDX-License-Identifier: BSD-3-Clause
"""http.head_delay: the head of a response does not wait for its first piece for longer than this; text/event-stream's not at all.
Until then an exception becomes 500. Each response waits for /go, so a head that is read before has come by itself."""

import itertools

import pytest

from lib.client import Truncated
from lib.server import Server

LONG = {"http": {"head_delay": "1h"}}
PLAIN, EVENTS = "text/plain", "text/event-stream"
tags = itertools.count()


class Exchange:
    """One request whose response waits, over either protocol."""

    def __init__(self, server, h2, path, method="GET", version="1.1", headers=()):
        self.server, self.c, self.method = server, server.connect(), method
        if h2:
            self.h = pytest.importorskip("lib.h2").H2(self.c)
            self.stream = self.h.request(method, path, [("accept-encoding", "gzip")] if headers else [])
        else:
            self.h = None
            self.c.send_request(method, path, headers, version=version)

    def head(self):
        """{name: value} of the head, which comes alone."""
        if self.h:
            a = self.h.answers[self.stream]
            self.h.until(lambda: a.headers)
            assert not a.body and not a.ended or self.method == "HEAD"
            return {"status": str(a.status), **{k: v for k, v in a.headers if not k.startswith(":")}}
        text = self.c.read_until(b"\r\n\r\n").decode("latin-1")
        lines = text.rstrip().split("\r\n")
        return {"status": lines[0].split()[1], **{k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}}

    def rest(self):
        if self.h:
            a = self.h.answers[self.stream]
            self.h.until(lambda: a.ended or a.reset is not None)
            return bytes(a.body) if a.ended else None
        return self.c.read_to_end()


@pytest.fixture(params=[False, True], ids=["http/1.1", "h2"])
def opened(serve, request):
    def start(path, app="head_delay", config=None, allow=(), **options):
        server = serve(app, config, flags="h2c" if request.param else "", allow=allow)
        tag = next(tags)
        x = Exchange(server, request.param, path.replace("tag=a", f"tag={tag}"), **options)
        x.go = lambda: server.get(f"/go?tag={tag}").body == b"ok"
        return x
    start.h2 = request.param
    return start


WSGI = "apps.head_delay:wsgi"


def whole(x, body=b"body"):
    """The response ends as it should."""
    assert x.go()
    if x.h:
        assert x.rest() == body
        return
    x.c.half_close()
    assert x.rest() in (body, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


@pytest.mark.parametrize("app", ["head_delay", WSGI], ids=["asgi", "wsgi"])
@pytest.mark.parametrize("kind, config", [(EVENTS, LONG), (EVENTS + ";charset=utf-8", LONG), ("Text/Event-Stream", LONG), (PLAIN, None),
                                          (PLAIN, {"http": {"head_delay": "0"}})])
def test_head_comes_before_the_body(opened, app, kind, config):
    x = opened(f"/waits?tag=a&type={kind.replace(';', '%3B')}", app, config)
    head = x.head()
    assert head["status"] == "200" and head["content-type"] == kind
    whole(x)


@pytest.mark.parametrize("kind", [EVENTS, PLAIN])
def test_head_of_wsgi_comes_after_an_empty_piece(opened, kind):
    x = opened(f"/waits?tag=a&first=empty&type={kind}", WSGI)
    assert x.head()["status"] == "200"
    whole(x)


def test_event_stream_of_wsgi_in_the_thread_of_the_loop():
    server = Server(WSGI, {"app": {"threads": 1}, **LONG})
    server.__enter__()
    try:
        with server.connect() as c:
            c.send_request("GET", f"/waits?tag=a&type={EVENTS}")
            assert b" 200 OK\r\n" in c.read_until(b"\r\n\r\n")
    finally:
        server.kill()  # the application waits for what cannot come
        server.cleanup()


@pytest.mark.parametrize("query, fields", [
    ("length=1", {"content-length": "4"}),
    ("status=404", {"status": "404"}),
])
def test_other_heads(opened, query, fields):
    x = opened(f"/waits?tag=a&{query}")
    head = x.head()
    assert {k: head[k] for k in fields} == fields
    whole(x)


def test_head_request(opened):
    x = opened("/waits?tag=a", method="HEAD")
    assert x.head()["status"] == "200"
    whole(x, b"") if x.h else x.go()


def test_http_1_0(serve):
    x = Exchange(serve("head_delay"), False, "/waits?tag=old", version="1.0")
    assert x.head()["status"] == "200"
    assert x.server.get("/go?tag=old").body == b"ok"
    assert x.rest() == b"body"


def test_compressed(opened):
    x = opened("/waits?tag=a", config={"http": {"compress": "gzip"}}, headers=["Accept-Encoding: gzip"])
    head = x.head()
    assert head["status"] == "200" and head["content-encoding"] == "gzip"
    assert x.go()


@pytest.mark.parametrize("app, path", [("head_delay", "/fails_at_once"), (WSGI, "/x?tag=a&fails=1")], ids=["asgi", "wsgi"])
def test_exception_in_the_same_step_is_500(opened, app, path):
    """The head of an event stream waits for the end of the step; WSGI has no such step, and its events no second chance."""
    x = opened(path if app == "head_delay" else path + f"&type={PLAIN}", app, LONG, allow=["Traceback"])
    assert x.head()["status"] == "500"


@pytest.mark.parametrize("app", ["head_delay", WSGI], ids=["asgi", "wsgi"])
def test_exception_after_the_head_cuts_the_response(opened, app):
    x = opened("/waits?tag=a&fails=1&waits=1", app, allow=["Traceback"])
    assert x.head()["status"] == "200"
    assert x.go()
    assert x.rest() in (None, b"")


def test_start_response_replaces_a_head_that_is_held(opened):
    x = opened("/waits?tag=a&replaces=1", WSGI, LONG)
    assert x.go()
    assert opened.h2 or x.c.read_response().status == 503
    if opened.h2:
        x.h.until(lambda: x.h.answers[x.stream].ended)
        assert x.h.answers[x.stream].status == 503


def test_start_response_raises_again_when_the_head_has_left(opened):
    x = opened("/waits?tag=a&replaces=1", WSGI, allow=["Traceback"])
    assert x.head()["status"] == "200"
    assert x.go()
    assert x.rest() in (None, b"")
    x.server.wait_log("ValueError: replaced")


def test_client_that_leaves_while_its_head_waits(serve):
    """The timer finds nothing of it, and serves the others."""
    server = serve("head_delay", {"http": {"head_delay": "200ms"}})
    for _ in range(3):
        with server.connect() as c:
            c.send_request("GET", "/waits?tag=b")
            c.reset()
    x = Exchange(server, False, "/waits?tag=a")
    assert x.head()["status"] == "200"
    assert server.get("/go?tag=a").body == b"ok" and server.get("/go?tag=b").body == b"ok"
    with pytest.raises(Truncated):
        x.c.half_close()
        x.c.read_exactly(1000)
