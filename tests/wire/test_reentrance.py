# SPDX-License-Identifier: BSD-3-Clause
"""Objects of the application whose own methods call send(), write() and the loop again while the server looks at them: no state
is half changed, the answer is one of those that were asked for, and the worker lives."""

import pytest

from lib.h2 import H2
from lib.waiting import wait_for
from lib.ws import WS, handshake

HTTP = {
    "more_body": b"inner", "head_in_head": b"RuntimeError: http.response.start was sent twice", "all_in_head": b"inner",
    "trailers_flag": b"RuntimeError: http.response.start was sent twice",
    "fields_go_away": b"RuntimeError: http.response.start was sent twice",
    "keys": b"inner-outer-inner", "path": b"inner", "path_in_path": b"file", "file": b"filefileoffsetfilecountfilemore_body",
    "hints": b"RuntimeError: http.response.early_hint was sent after http.response.start", "trailers": b"inner",
    "bodies": b"ValueError: operation forbidden on released memoryview object", "thrown": b"ok", "own_coroutine": b"ok",
    "watchers": b"ok", "timers": b"ok",
}


@pytest.fixture
def server(serve):
    return serve("reentrant", flags="h2c")


@pytest.mark.parametrize("case", HTTP)
def test_http_1(server, case):
    r = server.get(f"/{case}")
    assert r.status == 200
    assert r.body.endswith(HTTP[case]) if case == "bodies" else r.body == HTTP[case]


@pytest.mark.parametrize("case", HTTP)
def test_http_2(server, case):
    with H2(server.connect()) as h:
        a = h.get(f"/{case}")
        assert a.status == 200
        assert bytes(a.body).endswith(HTTP[case]) if case == "bodies" else bytes(a.body) == HTTP[case]


def test_what_waits_for_the_body_sends(server):
    with server.connect() as c:
        c.send(b"POST /sends_in_receive HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\na")
        assert c.read_until(b"1\r\n")
        c.send(b"b")
        c.close()
    assert server.get("/thrown").body == b"ok"


def test_websocket(server):
    with WS(server.connect(), "/websocket") as ws:
        assert ws.read_text() == "inner"
        assert ws.read_text() == "text"
        assert "after the WebSocket was accepted" in ws.read_text()
        ws.expect_close(4001, answer=True)
    wait_for(lambda: "websocket RuntimeError: a message was sent after websocket.close" in server.stdout(), what="the second close")


@pytest.mark.parametrize("case, status, body", [("refuses", 403, None), ("denies", 418, b"inner")])
def test_websocket_refused(server, case, status, body):
    with server.connect() as c:
        c.send(handshake(f"/{case}"))
        r = c.read_response()
        assert r.status == status and (body is None or r.body == body)


def test_websocket_fields(server):
    with WS(server.connect(), "/accept_fields") as ws:
        found = set(ws.response.headers)
        assert ("x-other" + "c" * 1000, "d" * 1000) in found or (b"x-other" + b"c" * 1000, b"d" * 1000) in found


# --- WSGI ---

@pytest.fixture(params=[1, 3])
def wsgi(request, serve):
    return serve("apps.wsgi_reentrant:app", {"app": {"threads": request.param}}, allow=["Traceback"])


@pytest.mark.parametrize("case, status, body, late", [
    ("close_writes", 200, b"body", b"RuntimeError: write() was called after the end of the response"),
    ("close_writes_with_length", 200, b"body", b"RuntimeError: write() was called after the end of the response"),
    ("close_restarts", 200, b"body", b"AssertionError: start_response() was called again without exc_info"),
    ("fails_then_writes", 500, None, b"RuntimeError: write() was called after the end of the response"),
    ("pieces_write", 200, b"1234", b""),
    ("wrapper_again", 200, None, b""),
    ("odd_status", 200, b"ValueError: status must be three digits from 200 and a reason, not status", b""),
    ("odd_header", 200, b"TypeError: each header must be a (name, value) tuple, not pair", b""),
])
def test_wsgi(wsgi, case, status, body, late):
    r = wsgi.get(f"/{case}")
    assert r.status == status and (body is None or r.body == body)
    assert wait_for(lambda: wsgi.get("/late").body if late else b"none", what="close()") == (late or b"none")


def test_wsgi_of_another_thread(wsgi):
    with wsgi.connect() as c:
        r = c.request("POST", "/other_thread", body=b"x" * 100000)
        assert r.body == b"x" * 100000 and r.get("x-who") == "thread"
    found = wsgi.get("/write_elsewhere").body
    assert found in (b"written", b"RuntimeError: write() was called in another thread than the application")


def test_wsgi_writers_of_two_threads(serve):
    server = serve("apps.wsgi_reentrant:app", {"app": {"threads": 3}}, allow=["Traceback"])
    with server.connect(rcvbuf=4096) as c:
        found = c.request("GET", "/two_writers").body
    pieces = {found[i:i + 100000] for i in range(0, len(found), 100000)}
    assert len(found) == 4000000 and pieces == {b"a" * 100000, b"b" * 100000}


def test_wsgi_list_that_changes_while_it_is_sent(wsgi):
    with wsgi.connect(rcvbuf=4096) as c:
        c.send_request("GET", "/list_changes").read_until(b"\r\n\r\n")
        wsgi.wait_log("the list is empty")
        assert c.read_exactly(8000000) == b"x" * 8000000


def test_wsgi_after_the_end(wsgi):
    with wsgi.connect() as c:
        assert c.request("POST", "/after_the_end", body=b"body").body == b"ok"
    found = wsgi.get("/end").body.decode().split(";")
    assert found[:2] == ["RuntimeError: write() was called after the end of the request",
                         "RuntimeError: start_response() was called after the end of the request"]
    wsgi.wait_log("late line")
