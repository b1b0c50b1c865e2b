# SPDX-License-Identifier: BSD-3-Clause
"""Any token is a method (RFC 9110 9.1): it goes to the application as it was received, whatever its letters and their case, over
HTTP/1 and HTTP/2 alike, to ASGI and WSGI alike. What is no token is no request."""

import json

import pytest

from lib.server import Server
from lib.waiting import wait_for
from lib.ws import handshake

METHODS = ["GET", "POST", "QUERY", "BREW", "M", "MSEARCH", "M-SEARCH", "GETT", "GE", "PRI", "SOURCE", "X" * 500, "1",
           "get", "Get", "head", "Head", "post", "delete", "options", "connect", "Connect", "!#$%&'*+-.^_`|~aZ9"]


@pytest.fixture(params=["asgi", "wsgi", "wsgi in the loop"])
def application(request, serve):
    """(server, path, the method that the application says it got)"""
    if request.param == "asgi":
        return serve("scope", flags="h2c"), "/x", lambda body: json.loads(body)["method"]
    server = serve("apps.wsgi_cases:app", {"app": {"threads": 1 if "loop" in request.param else 4}}, flags="h2c",
                   allow=["Traceback"])
    return server, "/environ", lambda body: json.loads(body)["REQUEST_METHOD"]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_http1(application, version):
    server, path, method_of = application
    for method in METHODS:
        with server.connect() as c:
            r = c.request(method, path, ["Connection: keep-alive"] if version == "1.0" else [], version=version)
            assert (r.status, method_of(r.body)) == (200, method)
            assert method_of(c.request("GET", path).body) == "GET", "the connection is still in use"


def test_http2(application):
    h2 = pytest.importorskip("lib.h2")
    server, path, method_of = application
    with h2.H2(server.connect()) as h:
        for method in METHODS:
            a = h.answer(h.request(method, path))
            assert (a.status, method_of(a.body)) == (200, method)


def test_bodies_and_pipelining(serve):
    """The framing is that of any request: nothing of a body becomes the next one."""
    inner = b"GET /inner HTTP/1.1\r\nHost: test\r\n\r\n"
    with serve("behind").connect() as c:
        for method in METHODS:
            c.send_request(method, "/a", ["X-Request-Id: a"], body=inner)
            c.send_request(method, "/b", ["X-Request-Id: b"], chunks=[inner, b"x"])
            c.send_request(method, "/c", ["X-Request-Id: c"])
            for name, body in (("a", inner), ("b", inner + b"x"), ("c", b"nothing")):
                r = c.read_response()
                assert (r.status, r.get("x-id"), r.body) == (200, name, body), method
        c.expect_no_more()


def test_head_in_small_letters_is_not_head(serve):
    server = serve("answers", flags="h2c")
    with server.connect() as c:
        assert c.request("head", "/sized").body == b"sized body"
        assert c.request("HEAD", "/sized").body == b""


def test_get_in_small_letters_opens_no_websocket(serve):
    with serve("websockets", allow=["Traceback"]).connect() as c:
        c.send(handshake("/hello").replace(b"GET", b"get", 1))
        assert c.read_response().body == b"Hello"


@pytest.mark.parametrize("method", [b"G(T", b"G\xe9T", b"G\x00T", b"G,T", b"G/T", b"\"GET\"", b"GET:", b"G[T]", b"{GET}", b"G\tT", b"\x7f"])
@pytest.mark.parametrize("after", [b" / HTTP/1.1\r\n"])
def test_what_is_no_token_is_refused(serve, method, after):
    with serve("scope").connect() as c:
        c.send(method + after + b"Host: test\r\n\r\n")
        r = c.read_response()
        assert r.status == 400 and r.closes
        c.expect_close()


@pytest.mark.parametrize("target", [b"*", b"foo", b"a:80", b"", b"ftp://a/"])
def test_the_form_of_the_target_is_that_of_any_method(serve, target):
    """Only CONNECT has an authority, only OPTIONS an asterisk (RFC 9112 3.2), and "connect" is neither."""
    for method in (b"BREW", b"connect", b"options", b"PRI"):
        with serve("scope").connect() as c:
            c.send(method + b" " + target + b" HTTP/1.1\r\nHost: test\r\n\r\n")
            assert c.read_response().status == 400
            c.expect_close()


def test_absolute_targets(serve):
    scope = serve("scope").connect().request("BREW", "http://other.example/pot?x", host="test").json()
    assert scope["method"] == "BREW" and scope["path"] == "/pot" and ["host", "other.example"] in scope["headers"]


def test_connect_stays_refused(serve):
    server = serve("scope", flags="h2c")
    for target in ("test:80", "/", "*"):
        with server.connect() as c:
            r = c.request("CONNECT", target)
            assert r.status in (400, 501) and r.closes


def test_a_method_may_be_as_long_as_the_request_line(serve):
    with serve("scope").connect() as c:
        assert c.request("A" * 8000, "/").json()["method"] == "A" * 8000
        assert c.request("A" * 8300, "/").status == 414


def test_the_preface_of_http2_is_none_of_them(serve):
    """PRI is a method like any other in all but the preface (RFC 9113 3.4)."""
    with serve("scope").connect() as c:
        c.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert c.read_response().status == 505


def test_static_files_know_two(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a")
    with Server("scope", {"static:/s": {"dir": str(tmp_path)}}) as server:
        for method in METHODS:
            with server.connect() as c:
                r = c.request(method, "/s/a.txt")
                assert r.status == (200 if method == "GET" else 405), method
                assert r.status == 200 or r.get("allow") == "GET, HEAD"


def test_the_access_log_has_them():
    with Server("hello", {"log": {"accesslog": "seen", "access_log_format": "%(m)s|%(r)s"}}) as server:
        with server.connect() as c:
            for method in ("BREW", "get", "X|Y\"".replace("\"", "'")):
                c.request(method, "/a")
        path = server.dir / "seen"
        wait_for(lambda: path.exists() and path.read_text().count("\n") == 3, what="three lines")
        assert path.read_text() == "BREW|BREW /a HTTP/1.1\nget|get /a HTTP/1.1\nX|Y'|X|Y' /a HTTP/1.1\n"
