# SPDX-License-Identifier: BSD-3-Clause
"""What a site does all day behind nginx and HAProxy: who is asking, WebSockets, large bodies both ways, HTTP/2 in front, and
reloads that no client may notice."""

import hashlib
import signal

import pytest

from lib.load import Load
from lib.procfs import sanitized
from lib.proxies import SEEN_FORMAT, front, fronts, seen
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import BINARY, CLOSE, WS, close_payload

BOTH = fronts("nginx", "haproxy")
MIB = 1 << 20


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"])
@pytest.mark.parametrize("name", fronts("haproxy"))
def test_proxy_protocol(serve, name, send):
    """Each client keeps its own address, though connections to the server are used by several of them."""
    server = serve("behind", {"http": {"forwarded_allow_ips": "192.0.2.1"}}, flags=" proxy")
    with front(name, server, send=send) as proxy, proxy.connect() as one, proxy.connect(source="127.0.0.9") as two:
        for _ in range(5):
            for c in (one, two):
                scope = c.request("GET", "/scope").json()
                assert tuple(scope["client"]) == c.name and tuple(scope["server"]) == proxy.address


@pytest.mark.parametrize("name", BOTH)
def test_forwarded_fields(serve, name):
    """The proxy's word counts, and the client's does not."""
    server = serve("behind")
    claims = ["X-Forwarded-For: 6.6.6.6, 192.0.2.66", "X-Forwarded-Proto: https"][:2 if name == "nginx" else 1]
    with front(name, server) as proxy, proxy.connect(source="127.0.0.9") as c:
        for headers in ([], claims):
            scope = c.request("GET", "/scope", headers).json()
            assert scope["client"][0] == "127.0.0.9" and scope["scheme"] == "http"


@pytest.mark.parametrize("name", BOTH)
def test_forwarded_fields_of_a_proxy_that_is_not_trusted(serve, name):
    server = serve("behind", {"http": {"forwarded_allow_ips": "192.0.2.1"}})
    with front(name, server) as proxy, proxy.connect(source="127.0.0.9") as c:
        assert c.request("GET", "/scope").json()["client"][0] == "127.0.0.1"


@pytest.mark.parametrize("name", BOTH)
def test_websocket(serve, name):
    with front(name, serve("behind")) as proxy, WS(proxy.connect()) as ws:
        ws.text("hello").expect(1, "hello")
        large = bytes(range(256)) * 4096
        ws.send(BINARY, large).expect(BINARY, large)
        ws.send(CLOSE, close_payload(1000, "enough")).expect_close(1000)


@pytest.mark.parametrize("name", fronts())
def test_large_bodies(serve, name):
    """Both ways, counted and in chunks, on one connection."""
    n = (8 if sanitized(serve("behind").pid) else 64) * MIB
    piece = bytes(range(256)) * 4096
    right = [n, hashlib.sha256(piece * (n // MIB)).hexdigest()]
    with front(name, serve("behind"), patience="60s") as proxy, proxy.connect(timeout=60) as c:
        c.send(f"POST /digest HTTP/1.1\r\nHost: test\r\nContent-Length: {n}\r\n\r\n")
        for _ in range(n // MIB):
            c.send(piece)
        assert c.read_response().json() == right
        c.send("POST /digest HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(n // MIB):
            c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        assert c.send(b"0\r\n\r\n").read_response().json() == right
        got = c.request("GET", f"/download?n={n // 65536}").body
        assert got == b"".join(bytes([i & 255]) * 65536 for i in range(n // 65536))


ODD = {
    "transfer-encoding": [("transfer-encoding", "chunked")], "connection": [("connection", "x-request-id")],
    "line in a value": [("x", "a\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n")], "line in a name": [("x: y\r\nz", "a")],
    "nul": [("x", "a\0b")], "colon": [("x:", "y")], "length that is too long": [("content-length", "100")],
    "length that is too short": [("content-length", "1")], "two lengths": [("content-length", "4"), ("content-length", "5")],
    "signed length": [("content-length", "+4")], "upgrade": [("upgrade", "websocket"), ("connection", "upgrade")],
    "host": [("host", "other")], "expect": [("expect", "100-continue")], "id": [("x-request-id", "smuggled")],
    "te": [("te", "trailers, chunked")], "upper": [("X-Upper", "y")], "empty": [("", "y")], "blank": [("x y", "z")],
}
TARGETS = ["/a b", "/a HTTP/1.1\r\nX: y\r\n\r\nGET /smuggled", "", "*", "a", "http://other/x", "/\0", "/%0d%0aX:y", "/é", "//a//b/../c"]
METHODS = ["GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", "G T", "get", "", "CONNECT", "PRI"]


@pytest.mark.parametrize("name", fronts("nginx"))
def test_http2_in_front_smuggles_nothing(serve, name):
    """What HTTP/2 can carry and HTTP/1 cannot: every request that the server sees is one that the proxy knows, and as the proxy
    knows it."""
    from lib.h2 import H2
    server = serve("behind", {"log": {"accesslog": "h2", "access_log_format": SEEN_FORMAT}})
    with front(name, server, http2="http2") as proxy:
        def ask(method="POST", path="/odd", headers=()):
            h = H2(proxy.connect())
            with h.conn:
                stream = h.open(h.head(method, path, headers), end=False)
                try:
                    h.data(stream, b"body", end=True)
                    h.answer(stream)
                except (AssertionError, OSError):  # the whole connection was refused
                    pass
        for headers in ODD.values():
            ask(headers=headers)
        for target in TARGETS:
            ask(path=target)
        for method in METHODS:
            ask(method)
        with proxy.connect() as c:
            h = H2(c)
            assert h.get("/last").status == 200
        wait_for(lambda: any("/last" in one.line for one in seen(server.dir / "h2")), what="the last request")
        known = {one.id: f"{one.method} {one.target}" for one in proxy.sent()}
        for one in seen(server.dir / "h2"):
            assert known.get(one.id) == one.line.rpartition(" ")[0] or one.id == "-" and int(one.status) >= 400, one


@pytest.mark.parametrize("name", BOTH)
def test_reloads_under_load(name):
    """No request fails and none is answered by the proxy itself: the end of a kept connection never meets a request."""
    with Server("behind", {"server": {"workers": 2}}, respawn=True) as server, front(name, server) as proxy:
        with Load(proxy.address, per_connection=50, path="/slow") as load:
            for _ in range(20):
                mark = server.log_mark()
                server.signal(signal.SIGHUP)
                server.wait_log("reloaded: generation", mark)
                load.more(30)
            load.stop()
        wait_for(lambda: len(proxy.sent()) >= load.ok, what="the proxy's log")
        bad = [one for one in proxy.sent() if one.status in ("502", "503", "504")]
        assert not bad and load.failed == {}, (load.failed, bad[:5])
