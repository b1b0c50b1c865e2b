# SPDX-License-Identifier: BSD-3-Clause
"""The opening handshake (RFC 6455 4.2) and what an application answers instead of accepting."""

import uuid

import pytest

from lib.server import Server
from lib.waiting import wait_for
from lib.ws import ACCEPT, CLOSE, KEY, PING, TEXT, WS, accept_of, close_payload, frame, handshake, random_key


@pytest.fixture
def server(serve):
    s = serve("websockets", allow=["Traceback"])
    yield s
    with s.connect() as c:
        assert c.request("GET", "/hello").body == b"Hello"


@pytest.fixture
def name():
    return uuid.uuid4().hex


def report(server, name):
    with server.connect() as c:
        return c.request("GET", f"/report?id={name}").json()


# --- what is accepted ---

def test_handshake_is_answered_with_101(server):
    with server.connect() as c:
        c.send(handshake("/echo"))
        r = c.read_response()
        assert (r.status, r.reason, r.version) == (101, "Switching Protocols", "1.1")
        assert r.get_all("sec-websocket-accept") == [ACCEPT] and r.get_all("upgrade") == ["websocket"]
        assert r.get_all("connection") == ["upgrade"] and r.get("sec-websocket-protocol") is None
        assert r.get("sec-websocket-extensions") is None and r.get("content-length") is None
        assert r.get("transfer-encoding") is None and r.get("server") == "tine" and r.get("date")


def test_accept_follows_the_key_of_each_client(server):
    for _ in range(5):
        key = random_key()
        with server.connect() as c:
            c.send(handshake("/echo", key=key))
            assert c.read_response().get("sec-websocket-accept") == accept_of(key)


@pytest.mark.parametrize("head", [
    "GET /echo HTTP/1.1\r\nHost: a\r\nupgrade: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n",
    "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: foo/1, websocket\r\nConnection: Upgrade\r\n",
    "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nUpgrade: websocket\r\nConnection: x\r\nConnection: Upgrade\r\n",
    "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: ,upgrade,\r\nContent-Length: 0\r\n",
])
def test_spellings_of_a_handshake(server, head):
    with server.connect() as c:
        c.send(head + f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n")
        assert c.read_response().status == 101
        c.send(frame(TEXT, "hello"))
        assert c.read_exactly(7) == b"\x81\x05hello"


def test_scope_of_a_websocket(server):
    fields = ["Sec-WebSocket-Protocol: one, two", "Sec-WebSocket-Protocol: three", "Origin: http://a", "X-A: b"]
    with WS(server.connect(), "/show/%41?q=1", fields) as w:
        import json
        scope = json.loads(w.read_text())
    assert scope["type"] == "websocket" and scope["scheme"] == "ws" and scope["http_version"] == "1.1"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"} and "method" not in scope
    assert scope["path"] == "/show/A" and scope["raw_path"] == "/show/%41" and scope["query_string"] == "q=1"
    assert scope["root_path"] == "" and scope["subprotocols"] == ["one", "two", "three"]
    assert ["origin", "http://a"] in scope["headers"] and ["x-a", "b"] in scope["headers"]
    assert ["sec-websocket-key", KEY] in scope["headers"]
    assert scope["client"][0] == "127.0.0.1" and scope["server"] == ["127.0.0.1", server.port]
    assert scope["extensions"] == {"websocket.http.response": {}} and scope["state"] == {"from": "lifespan"}


def test_application_chooses_subprotocol_and_headers(server):
    with WS(server.connect(), "/chosen?subprotocol=two", ["Sec-WebSocket-Protocol: one, two"]) as w:
        r = w.response
        assert r.get_all("sec-websocket-protocol") == ["two"]
        assert r.get("x-one") == "1" and r.get_all("set-cookie") == ["a=1", "b=2"] and r.get("x-two") == "\xff\t2"
        assert r.get_all("connection") == ["upgrade"] and r.get_all("upgrade") == ["websocket"]
        assert r.get("content-length") is None and r.get("transfer-encoding") is None


def test_mistakes_in_messages(server):
    with WS(server.connect(), "/errors", ["Sec-WebSocket-Protocol: one"]) as w:
        import json
        assert json.loads(w.read_text()) == ["ValueError", "ValueError", "ValueError", "TypeError", "ValueError",
                                             "ValueError", "TypeError", "UnicodeEncodeError", "ValueError"]


def test_frames_behind_the_head(server):
    """What the client sends in the same packet is not lost, whether the application accepts at once or later."""
    for path in ("/echo", "/late"):
        with WS(server.connect(), path, behind=frame(TEXT, "early") + frame(TEXT, "bird")) as w:
            w.expect(TEXT, "early").expect(TEXT, "bird")
            w.close()


def test_large_message_behind_the_head_of_a_held_handshake(server, name):
    """More than the connection reads ahead."""
    data = b"x" * 300000
    with server.connect() as c:
        c.send(handshake(f"/held?id={name}") + frame(TEXT, data[:200000]))
        with server.connect() as other:
            assert other.request("GET", f"/release?id={name}").status == 200
        assert c.read_response().status == 101
        c.send(frame(TEXT, data))
        assert c.read_exactly(10)[2:] == (200000).to_bytes(8, "big") and c.read_exactly(200000) == data[:200000]
        assert c.read_exactly(10)[2:] == (300000).to_bytes(8, "big") and c.read_exactly(300000) == data


def test_held_until_the_application_accepts(server, name):
    with server.connect() as c:
        c.send(handshake(f"/held?id={name}") + frame(TEXT, "hello"))
        with server.connect() as other:
            other.request("GET", "/hello")
        c.expect_no_more()
        with server.connect() as other:
            other.request("GET", f"/release?id={name}")
        assert c.read_response().status == 101
        assert c.read_exactly(7) == b"\x81\x05hello"


@pytest.mark.parametrize("how", ["half_close", "reset"])
def test_client_that_leaves_a_held_handshake(server, name, how):
    with server.connect() as c:
        c.send(handshake(f"/held?id={name}"))
        with server.connect() as other:
            other.request("GET", "/hello")
        getattr(c, how)()
        seen = wait_for(lambda: (lambda r: len(r) == 2 and r)(report(server, name)), what="the disconnect")
    assert seen[0] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert seen[1]["error"] == "ClientDisconnected"


def test_handshake_as_the_second_request(server):
    with server.connect() as c:
        assert c.request("GET", "/hello").status == 200
        c.send(handshake("/echo") + frame(PING, "x"))
        assert c.read_response().status == 101
        assert c.read_exactly(3) == b"\x8a\x01x"


def test_handshake_behind_a_pipelined_request(server):
    with server.connect() as c:
        c.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        c.send(handshake("/echo") + frame(PING, "x"))
        assert c.read_response().body == b"Hello"
        assert c.read_response().status == 101
        assert c.read_exactly(3) == b"\x8a\x01x"


# --- what is not ---

@pytest.mark.parametrize("fields", [
    "Upgrade: websocket\r\n", "Connection: upgrade\r\n", "Upgrade: websocket\r\nConnection: keep-alive\r\n",
    "Upgrade: websocket/13\r\nConnection: upgrade\r\n", "Upgrade: h2c\r\nConnection: upgrade\r\n"])
def test_incomplete_handshake_is_plain_http(server, fields):
    with server.connect() as c:
        c.send(f"GET /hello HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
        assert c.read_response().body == b"Hello"
        assert c.request("GET", "/hello").body == b"Hello"


def test_http10_has_no_upgrade(server):
    with server.connect() as c:
        c.send(handshake("/hello").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert c.read_response().body == b"Hello"


def refused(server, data, status):
    with server.connect() as c:
        c.send(data)
        r = c.read_response()
        assert r.status == status and r.closes, r
        c.expect_close()
        return r


@pytest.mark.parametrize("key", [
    None, "", "short", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ===",
    "dGhlIHNhbXBsZSBub25jZQ==, x", "dGhlIHNhbXBsZSBub25j*Q==", "AAAAAAAAAAAAAAAAAAAAAAA="])
def test_wrong_key_is_refused(server, key):
    refused(server, handshake("/echo", key=key), 400)


def test_two_keys_are_refused(server):
    refused(server, handshake("/echo", [f"Sec-WebSocket-Key: {KEY}"]), 400)


@pytest.mark.parametrize("version", ["12", "8", "14", "013", "13, 8", "x", ""])
def test_wrong_version_is_refused_with_426(server, version):
    r = refused(server, handshake("/echo", version=version), 426)
    assert r.get_all("sec-websocket-version") == ["13"] and r.get("upgrade") == "websocket"
    assert "upgrade" in r.get("connection")


def test_no_version_or_two_are_refused(server):
    refused(server, handshake("/echo", version=None), 400)
    refused(server, handshake("/echo", ["Sec-WebSocket-Version: 13"]), 400)


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS"])
def test_other_methods_are_plain_http(server, method):
    with server.connect() as c:
        c.send(handshake("/hello").replace(b"GET", method.encode(), 1))
        r = c.read_response(method)
        assert r.status == 200 and r.get("upgrade") is None


@pytest.mark.parametrize("fields", [["Content-Length: 5"], ["Transfer-Encoding: chunked"]])
def test_handshake_with_a_body_is_refused(server, fields):
    with server.connect() as c:
        c.send(handshake("/echo", fields) + b"5\r\nhello\r\n0\r\n\r\n")
        assert c.read_response().status == 400


@pytest.mark.parametrize("field", [
    "Sec-WebSocket-Protocol: a b", "Sec-WebSocket-Protocol: a, \"b\"", "Sec-WebSocket-Protocol: a/b",
    "X-A : b", "X_A: b\rX-B: c", "X-A: b\x00c", " folded"])
def test_smuggled_fields_are_refused(server, field):
    refused(server, handshake("/echo", [field]), 400)


# --- what the application answers instead ---

def test_close_before_accept_is_403(server, name):
    with server.connect() as c:
        c.send(handshake(f"/refuse?id={name}") + frame(TEXT, "GET / HTTP/1.1\r\n\r\n"))
        assert c.read_response().status == 403
        c.expect_close()
    assert wait_for(lambda: report(server, name)) == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


def test_denial_response_is_sent(server):
    with server.connect() as c:
        c.send(handshake("/deny"))
        r = c.read_response()
        assert r.status == 401 and r.body == b"no entry" and r.get("x-why") == "because"
        assert c.request("GET", "/hello").body == b"Hello"


def test_denial_that_breaks_off_is_cut(server):
    with server.connect() as c:
        c.send(handshake("/deny_halfway"))
        head = c.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 401 ")
        assert c.read_to_end() == b"no"
    server.wait_log("without completing its response")


@pytest.mark.parametrize("path", ["/raises", "/returns", "/sends_early"])
def test_error_before_accept_is_500(server, path):
    mark = server.log_mark()
    with server.connect() as c:
        c.send(handshake(path))
        assert c.read_response().status == 500
        c.expect_close()
    server.wait_log(f'WebSocket {path} HTTP/1.1" from 127.0.0.1', mark)


@pytest.mark.parametrize("path", ["/raises_open", "/returns_open", "/accepts_twice"])
def test_error_after_accept_closes_with_1011(server, path):
    with WS(server.connect(), path) as w:
        fin, rsv, opcode, payload = w.read()
        assert opcode == CLOSE and payload[:2] == (1011).to_bytes(2, "big")
        w.send(CLOSE, close_payload(1011))
        w.conn.expect_close()


def test_accepted_in_the_access_log(serve, tmp_path):
    with Server("websockets", {"log": {"accesslog": str(tmp_path / "access.log"),
                                                   "access_log_format": "%(m)s %(U)s %(s)s %({sec-websocket-accept}o)s"}}) as s:
        with WS(s.connect(), "/echo") as w:
            w.close()
        with s.connect() as c:
            c.send(handshake("/refuse"))
            c.read_response()
        wait_for(lambda: (tmp_path / "access.log").read_text() ==
                 f"GET /echo 101 {ACCEPT}\nGET /refuse 403 -\n", what="both lines")
