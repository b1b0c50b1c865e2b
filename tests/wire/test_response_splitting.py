# SPDX-License-Identifier: BSD-3-Clause
"""Every way in which a field can leave an application: what is no field is refused before a byte of it leaves,
the application can go on, and what is one arrives as it is."""

import os

import pytest

from apps.splitting import BAD, LAST, REFUSALS
from lib.ws import WS, handshake

# How it leaves, and how many refusals it must have seen.
ASGI = {"start": REFUSALS, "generator": REFUSALS, "early_hint": len(BAD), "trailers": REFUSALS}
WSGI = {"plain": REFUSALS, "again": REFUSALS, "reason": REFUSALS}
FINE = "a" + LAST.decode("latin-1") + "b"


@pytest.fixture
def server(serve):
    return serve("splitting", flags="h2c")


def expect_told(headers, n):
    headers = dict(headers)
    assert headers["x-refused"] == str(n) and headers["x-fine"] == FINE
    assert not {"x-injected", "x-bad", "x-ok"} & set(headers)


@pytest.mark.parametrize("way", ASGI)
def test_http1(server, way):
    with server.connect() as c:
        for _ in range(2):
            r = c.request("GET", f"/{way}", ["TE: trailers"])
            assert r.status == 200 and r.body == b"ok"
            expect_told(r.trailers if way == "trailers" else r.headers, ASGI[way])
            assert [i.get_all("link") for i in r.interim] == ([["</a>; rel=preload"]] if way == "early_hint" else [])


@pytest.mark.parametrize("way", ASGI)
def test_http2(server, way):
    from lib.h2 import H2
    h = H2(server.connect())
    with h.conn:
        answer = h.get(f"/{way}", headers=[("te", "trailers")])
        assert answer.status == 200 and answer.body == b"ok"
        expect_told(answer.trailers if way == "trailers" else answer.headers, ASGI[way])


@pytest.mark.parametrize("to", ["/%0d%0ax-injected:%201", "/%0a", "/%00", "/%0d%0a%0d%0a<html>"])
def test_a_client_cannot_choose_more_than_a_value(serve, to):
    server = serve("splitting", allow=["Traceback"])
    with server.connect() as c:
        r = c.request("GET", f"/location?to={to.replace('%', '%25')}")
        assert r.status == 500 and r.get("x-injected") is None and r.get("location") is None
        c.expect_close()
    assert server.get("/location?to=/there").get("location") == "/there"


def test_websocket_accept(server):
    with WS(server.connect(), "/accept", ["Sec-WebSocket-Protocol: chat, chatter"]) as ws:
        expect_told(ws.response.headers, REFUSALS + len(BAD))
        assert ws.response.get("sec-websocket-protocol") == "chat"


def test_websocket_denial(server):
    with server.connect() as c:
        r = c.send(handshake("/denial")).read_response()
        assert r.status == 403 and r.body == b"no"
        expect_told(r.headers, REFUSALS)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", WSGI)
def test_wsgi(serve, way, threads):
    server = serve("apps.splitting:wsgi", {"app": {"interface": "wsgi", "threads": threads}})
    with server.connect() as c:
        for _ in range(2):
            r = c.request("GET", f"/{way}")
            assert r.status == 200 and r.body == b"ok"
            expect_told(r.headers, WSGI[way])


@pytest.mark.parametrize("name", ["a\r\nx-injected: 1", "a\nb", "a b", "é", "a\tb"])
def test_location_of_a_folder(serve, tmp_path_factory, name):
    """The redirect to a folder names it as the client has."""
    folder = tmp_path_factory.mktemp("static")
    (folder / name).mkdir()
    server = serve("hello", {"static:/static": {"dir": str(folder), "index": "index.html"}})
    written = "".join(f"%{octet:02x}" for octet in os.fsencode(name))
    with server.connect() as c:
        r = c.request("GET", f"/static/{written}?q=%0d%0a")
        assert r.status == 301 and r.get("location") == f"/static/{written}/?q=%0d%0a" and r.get("x-injected") is None
        assert c.request("GET", "/static//other.example/").status == 404
