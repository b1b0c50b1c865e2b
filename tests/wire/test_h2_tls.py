# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2 over TLS, by ALPN (RFC 9113 3.2)."""

import json

import pytest

from lib import certs
from lib.h2 import H2
from lib.h2frames import PROTOCOL_ERROR
from lib.tls import TLSConn


@pytest.fixture
def connect(serve):
    conns = []

    def connected(app="scope", config=None, alpn=("h2", "http/1.1")):
        server = serve(app, {"tls": certs.server().config(), **(config or {})}, flags="tls")
        conns.append(TLSConn(server.address, context=certs.context(alpn=alpn)))
        return conns[-1]
    yield connected
    for c in conns:
        c.close()


def test_scope(connect):
    c = connect()
    assert c.socket.selected_alpn_protocol() == "h2"
    scope = json.loads(H2(c).get("/x", scheme="https").body)
    assert scope["http_version"] == "2" and scope["scheme"] == "https"


def test_the_client_may_want_http1(connect):
    c = connect(alpn=("http/1.1",))
    assert c.socket.selected_alpn_protocol() == "http/1.1" and c.request().status == 200


def test_http2_false(connect):
    c = connect(config={"http": {"http2": False}})
    assert c.socket.selected_alpn_protocol() == "http/1.1" and c.request().status == 200


def test_wrong_preface(connect):
    """RFC 9113 3.4."""
    c = connect()
    c.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert H2(c, start=False).read_to_end() in (PROTOCOL_ERROR, None)


def test_bodies(connect):
    h = H2(connect("bodies"))
    for n in (0, 1, 16385, 60000):
        assert h.post("/echo", b"b" * n, scheme="https").body == b"b" * n


def test_files(connect):
    h = H2(connect("extended"))
    lines = b"".join(b"line %06d\n" % i for i in range(100000))
    assert h.get("/path?size=1000000", scheme="https").body == lines[:1000000]


def test_websocket(connect):
    h = H2(connect("websockets"))
    h.ping()
    fields = h.head("CONNECT", "/show", [("sec-websocket-version", "13")], scheme="https", more=[(":protocol", "websocket")])
    a = h.answers[h.open(fields, end=False)]
    h.until(lambda: b'"scheme"' in a.body)
    assert b'"scheme": "wss"' in a.body and a.status == 200
