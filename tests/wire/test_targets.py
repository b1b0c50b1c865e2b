# SPDX-License-Identifier: BSD-3-Clause
"""Targets that are no URI: bytes beyond ASCII are refused, a % that begins no escape is the application's business; and what the
log says of requests that are refused."""

import json
import re

import pytest

from lib.client import Conn
from lib.h2 import H2
from lib.server import Server
from lib.sockets import free_port

# (path, decoded once)
LONE = [("/100%", "/100%"), ("/%zz", "/%zz"), ("/a%2", "/a%2"), ("/%%41", "/%A"), ("/%25%", "/%%"), ("/%%32e%%32e/x", "/%2e%2e/x"),
        ("/%", "/%"), ("/%4", "/%4"), ("/%C3%A9%", "/\u00e9%")]


@pytest.mark.parametrize("path, decoded", LONE)
def test_a_lone_percent_stands_for_itself(serve, path, decoded):
    with serve("scope").connect() as c:
        scope = c.request("GET", path).json()
        assert scope["raw_path"] == path and scope["path"] == decoded
    with serve("apps.wsgi_cases:app").connect() as c:
        env = c.request("GET", "/environ" + path).json()
        assert env["RAW_URI"] == "/environ" + path
        assert env["PATH_INFO"].encode("latin-1").decode() == "/environ" + decoded


@pytest.mark.parametrize("path, decoded", LONE)
def test_a_lone_percent_over_http2(serve, path, decoded):
    with H2(serve("scope", flags="h2c").connect()) as h:
        scope = json.loads(h.get(path).body)
        assert scope["raw_path"] == path and scope["path"] == decoded
    with H2(serve("apps.wsgi_cases:app", flags="h2c").connect()) as h:
        env = json.loads(h.get("/environ" + path).body)
        assert env["RAW_URI"] == "/environ" + path
        assert env["PATH_INFO"].encode("latin-1").decode() == "/environ" + decoded


def test_a_lone_percent_leads_to_no_mount_and_no_file(serve, tmp_path):
    (tmp_path / "a.txt").write_text("file")
    (tmp_path / "%").write_text("file")
    config = {"static:/s": {"dir": tmp_path}, "mount:/in": {"module": "apps.hello:app"}}
    server = serve("scope", config, flags="h2c")
    with H2(server.connect()) as h:
        assert h.get("/s/a.txt").body == b"file"
        assert [h.get(path).status for path in ("/s/%", "/s/a.txt%", "/s/%2", "/s/%zz")] == [404] * 4
        assert [json.loads(h.get(path).body)["path"] for path in ("/%in", "/in%", "/i%n/x")] == ["/%in", "/in%", "/i%n/x"]
    with server.connect() as c:
        assert c.request("GET", "/s/a.txt").body == b"file"
        for path in ("/s/%", "/s/a.txt%", "/s/%2", "/s/%zz"):
            assert c.request("GET", path).status == 404
        for path in ("/%in", "/in%", "/i%n/x"):
            assert c.request("GET", path).json()["path"] == path, "not the mount"


@pytest.mark.parametrize("path", ["/\u00e9", "/a\u20acb?x", "/x#y", "/?\u00e9"])
def test_bytes_that_no_uri_has_are_refused_by_name(serve, path):
    with serve("scope").connect() as c:
        c.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        r = c.read_response()
        assert r.status == 400 and b"percent-encoded" in r.body and r.closes
    with H2(serve("scope", flags="h2c").connect()) as h:
        answer = h.answer(h.open([(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", path.encode())]))
        assert answer.status == 400 and b"percent-encoded" in answer.body
        assert h.get("/after").status == 200, "the other streams of the connection are not concerned"


@pytest.mark.parametrize("raw, kind, status", [
    (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", "target-byte", 400),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", "request-line-too-long", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n", "fields-too-large", 431),
    (b"GET / HTTP/1.1\r\n\r\n", "host", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "version", 505),
])
def test_the_first_refusal_of_each_kind_is_logged(serve, raw, kind, status):
    server = serve("hello", {"log": {"loglevel": "info"}})
    mark = server.log_mark()
    seen = re.search(rf"request refused: {kind}", server.log())
    for _ in range(3):
        with server.connect() as c:
            c.send(raw)
            assert c.read_response().status == status
    if not seen:
        server.wait_log(rf"\[INFO\] 127.0.0.1: request refused: {kind}\S* \({status}\).*; further ones of this kind", mark)
    assert len(re.findall(rf"request refused: {kind}", server.log())) == 1


def test_refusals_are_counted():
    port = free_port()
    with Server("hello", {"metrics": {"bind": f"127.0.0.1:{port}"}}) as server:
        for _ in range(3):
            with server.connect() as c:
                c.send("GET /\u00e9 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                assert c.read_response().status == 400
        with Conn(("127.0.0.1", port)) as c:
            assert b"\ntine_requests_refused_total 3\n" in c.request("GET", "/metrics").body
