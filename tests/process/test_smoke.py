# SPDX-License-Identifier: BSD-3-Clause
"""Once through everything: a short run for tools that make a program slow. TINE_TEST_WRAPPER is such a tool's command line."""

import signal

import pytest

from lib.build import ROOT
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import BINARY, TEXT, WS, engines

STATIC = {"static:/static": {"dir": str(ROOT / "tests" / "apps")}}


def reload(server):
    mark = server.log_mark()
    server.signal(signal.SIGHUP)
    server.wait_log("reloaded: generation", mark)
    wait_for(lambda: len(server.workers()) == 1, what="the old worker's end")


def over_http1(server, upload=b"x" * 100000):
    with server.connect() as c:
        assert c.request("GET", "/hello").body == b"Hello"
        assert c.request("POST", "/echo", body=upload).body == upload
        assert c.request("GET", "/stream").body == b"".join(b"part %d" % i for i in range(10))
        c.send_request("GET", "/hello").send_request("HEAD", "/hello")
        assert c.read_response().body == b"Hello" and c.read_response("HEAD").status == 200
    with server.connect() as c:
        c.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert c.read_response().body == b"hello"
    with server.connect() as c:
        c.send(b"GET / HTTP/1.1\r\n\r\n")
        assert c.read_response().status == 400
    with server.connect() as c:
        c.send_request("GET", "/endless").read_until(b"\r\n\r\n")
        c.reset()
    assert server.get("/raises").status == 500


def over_websocket(server):
    for fields in ([], ["Sec-WebSocket-Extensions: permessage-deflate"]):
        with WS(server.connect(), "/ws_echo", fields) as ws:
            if not fields:
                ws.text("one").expect(TEXT, "one").send(BINARY, b"2" * 70000).expect(BINARY, b"2" * 70000)
            else:
                ws.text("one").read()
            ws.close()
    with WS(server.connect(), "/ws_closes") as ws:
        ws.expect_close(1001, "enough", answer=True)
    with WS(server.connect(), "/ws_echo") as ws:
        ws.text("one").expect(TEXT, "one").conn.reset()


def over_h2(server, alpn):
    from lib.h2 import H2
    with H2(server.connect(**alpn)) as h:
        assert h.get("/hello").body == b"Hello"
        assert h.post("/echo", b"x" * 50000).body == b"x" * 50000
        assert b"def app" in h.get("/static/slope.py").body
        h.reset(h.request(path="/endless"))
        h.ping()


def check_static(server):
    with server.connect() as c:
        whole = c.request("GET", "/static/slope.py")
        assert whole.status == 200 and c.request("GET", "/static/slope.py", [("Range", "bytes=0-9")]).body == whole.body[:10]
        assert c.request("GET", "/static/slope.py", [("If-None-Match", whole.get("etag"))]).status == 304
        assert c.request("GET", "/static/none").status == 404


@pytest.mark.parametrize("engine", engines())
def test_asgi(engine):
    config = {**STATIC, "websocket": {"engine": engine}, "http": {"compress": "gzip"}, "log": {"accesslog": "access.log"}}
    with Server("slope", config, allow=["Traceback"], respawn=True) as server:
        over_http1(server)
        over_websocket(server)
        check_static(server)
        reload(server)
        over_http1(server)


def test_tls():
    pytest.importorskip("hpack")
    from lib import certs
    with Server("slope", STATIC, tls=True, respawn=True) as server:
        over_h2(server, {"context": certs.context(alpn=("h2",))})
        assert server.get("/hello").body == b"Hello"
        reload(server)
        assert server.get("/hello").body == b"Hello"


def test_wsgi():
    with Server("apps.slope:wsgi", {"app": {"threads": 2}}, allow=["Traceback"]) as server:
        over_http1(server)
        assert server.get("/writes").body == b"by write, by return"
        assert b"def app" in server.get("/file").body


def test_mold():
    with Server("slope", {"app": {"preload_app": True}, "server": {"max_requests": 1}}, respawn=True) as server:
        first = server.workers()
        assert server.get("/hello").body == b"Hello"
        wait_for(lambda: server.workers() and not set(server.workers()) & set(first), what="the next worker")
        assert server.get("/hello").body == b"Hello"
