# SPDX-License-Identifier: BSD-3-Clause
"""Answers that were begun and of which no byte has left. A client that sees its connection end without a byte may send the
request again (RFC 9112 9.3.1), and on a connection that was used before, most do, POST too: the application would run
twice. So each gets an answer, a full one, and the connection ends; the access log has that answer and no other."""

import os
import signal

import pytest

from apps.held import FAILS
from lib.client import Truncated
from lib.logged import LOG, logged
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import handshake


@pytest.fixture(autouse=True)
def for_long(monkeypatch):
    """What a head does that does not wait for so long is in test_head_delay."""
    monkeypatch.setenv("TINE_HTTP_HEAD_DELAY", "1h")


def expect(server, target, status, method="POST", used=True, **options):
    """On a connection that was used before; the whole answer, one, and the end."""
    with server.connect() as c:
        if used:
            assert c.request("GET", "/ok").body == b"ok"
        r = c.request(method, target, **options)
        assert r.status == status and r.closes and r.get("x-own") is None and r.get("transfer-encoding") is None
        assert r.get("content-type") == "text/plain; charset=utf-8"
        assert len(r.body) == int(r.get("content-length")) or method == "HEAD"
        c.expect_close()
    return r


@pytest.fixture(params=[{}, {"http": {"compress": "gzip"}}], ids=["plain", "compress"])
def server(request, serve):
    return serve("held", {**LOG, **request.param}, allow=["Traceback"])


@pytest.mark.parametrize("target", FAILS)
def test_what_fails_before_the_first_byte_is_answered_with_500(server, target):
    mark = len(server.stdout())
    expect(server, target, 500, headers=["Accept-Encoding: gzip"], body=b"order")
    lines = wait_for(lambda: [line for line in server.stdout()[mark:].splitlines() if target.split("?")[0] in line])
    assert [line.split()[2] for line in lines] == ["500"]


@pytest.mark.parametrize("target", [t for t in FAILS if not t.startswith("/short")])  # to HEAD those are whole
def test_head_requests_too(server, target):
    expect(server, target, 500, method="HEAD")


def test_http_1_0(server):
    expect(server, "/raises", 500, method="GET", used=False, version="1.0")


def test_the_application_runs_once(server):
    expect(server, "/raises?tag=once", 500, body=b"pay")
    server.wait_event(path="raises", tag="once")
    assert not server.has_event(path="raises", tag="once")


def test_after_an_early_hint(server):
    with server.connect() as c:
        r = c.request("GET", "/raises_after_hint")
        assert [i.status for i in r.interim] == [103] and r.status == 500 and r.closes and r.get("x-own") is None
        c.expect_close()


def test_pipelined_answers_are_not_mixed_up(server):
    """The answer that waits for its body while another is sent has memory of its own."""
    with server.connect() as a, server.connect() as b:
        a.send_request("GET", "/raises?later=1").send_request("GET", "/ok")
        assert b.request("GET", "/ok").body == b"ok"
        r = a.read_response()
        assert r.status == 500 and r.get("x-own") is None
        a.expect_close()


def test_a_part_that_was_given_is_cut(server):
    """What has begun cannot be taken back: the client sees an answer, and that it is not whole."""
    with server.connect() as c:
        with pytest.raises(Truncated):
            c.request("GET", "/part")
    with server.connect() as c:
        c.send_request("GET", "/part", version="1.0")
        assert b"HTTP/1.1 200 OK\r\n" in c.read_to_end()


def test_a_client_that_leaves_is_not_logged_as_answered(serve):
    server = serve("held", LOG, allow=["Traceback"])
    with server.connect() as c:
        c.send("POST /reads_after_start HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\npart")
        server.wait_event(path="reads_after_start")
    assert logged(server, "/reads_after_start") == ["0"]


@pytest.mark.parametrize("config, status", [({"body_timeout": "500ms"}, 408), ({"limit_request_body": "8"}, 413)])
def test_a_body_that_fails_while_the_head_is_held(config, status):
    with Server("held", {**LOG, "http": config}) as server, server.connect() as c:
        c.send("POST /reads_after_start HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
        server.wait_event(path="reads_after_start")
        if status == 413:
            c.send("8\r\ntoo much\r\n")
        r = c.read_response()
        assert r.status == status and r.closes and r.get("x-own") is None
        c.expect_close()
        assert logged(server, "/reads_after_start") == [str(status)]


def test_bad_framing_while_the_head_is_held(server):
    with server.connect() as c:
        c.send("POST /reads_after_start HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
        server.wait_event(path="reads_after_start")
        c.send("x\r\n")
        r = c.read_response()
        assert r.status == 400 and r.closes and r.get("x-own") is None
        c.expect_close()


def test_request_timeout(serve):
    server = serve("held", {**LOG, "http": {"request_timeout": "400ms"}}, allow=["Traceback"])
    expect(server, "/waits?start=1", 504)
    assert logged(server, "/waits") == ["504"]


def test_a_denial_that_breaks_off(serve):
    server = serve("held", LOG, allow=["Traceback"])
    for path in ("/denies", "/leaves"):
        with server.connect() as c:
            c.send(handshake(path))
            r = c.read_response()
            assert r.status == 500 and r.closes and r.get("x-own") is None
            c.expect_close()
        assert logged(server, path) == ["500"]


# --- the end of a worker's time ---

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_what_a_stop_cuts_gets_an_answer(sig):
    config = {**LOG, "server": {"graceful_timeout": "1s" if sig == signal.SIGTERM else "600s"}}
    with Server("held", config) as server:
        conns = {}
        for tag, target in {"none": "/waits?tag=none", "held": "/waits?start=1&tag=held", "part": "/waits?part=1&tag=part"}.items():
            conns[tag] = server.connect()
            assert conns[tag].request("GET", "/ok").body == b"ok"
            conns[tag].send_request("GET", target)
            server.wait_event(path="waits", tag=tag)
        server.signal(sig)
        for tag in ("none", "held"):
            r = conns[tag].read_response()
            assert r.status == 503 and r.closes and r.get("x-own") is None
            conns[tag].expect_close()
        with pytest.raises(Truncated):
            conns["part"].read_response()
        assert server.wait_exit() == 0
        assert sorted(logged(server, "/waits")) == ["200", "503", "503"]
        for c in conns.values():
            c.close()


def test_what_a_stop_cuts_of_http_1_0_is_seen_to_be_cut():
    """Its end is the end of the connection: only a reset tells that it is not whole."""
    with Server("held", {"server": {"graceful_timeout": "1s"}}) as server, server.connect() as c:
        c.send_request("GET", "/waits?part=1", version="1.0")
        server.wait_event(path="waits")
        c.read_until(b"\r\n\r\npart")
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            while c.fill():
                pass
        assert server.wait_exit() == 0


def test_requests_in_the_queue_when_the_time_is_over():
    config = {**LOG, "server": {"graceful_timeout": "1s"}, "http": {"max_inflight": 1}}
    with Server("held", config) as server, server.connect() as first, server.connect() as second:
        first.send_request("GET", "/waits?start=1")
        server.wait_event(path="waits")
        second.send_request("GET", "/ok")
        second.send("")
        server.signal(signal.SIGTERM)
        assert first.read_response().status == 503 and second.read_response().status == 503
        assert server.wait_exit() == 0
        assert logged(server, "/ok") == ["503"]


def test_a_body_that_is_still_coming_when_the_time_is_over():
    with Server("held", {**LOG, "server": {"graceful_timeout": "1s"}}) as server, server.connect() as c:
        c.send("POST /reads_after_start HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\npart")
        server.wait_event(path="reads_after_start")
        server.signal(signal.SIGTERM)
        assert c.read_response().status == 503
        assert server.wait_exit() == 0
        assert logged(server, "/reads_after_start") == ["503"]


# --- WSGI ---

WSGI_FAILS = ["/raises_after_start", "/breaks_at_once", "/never_starts", "/returns_none", "/returns_text", "/short_of_all"]


@pytest.fixture(params=[1, 4], ids=["inline", "pool"])
def wsgi(request, serve):
    return serve("apps.wsgi_cases:app", {**LOG, "app": {"threads": request.param}}, allow=["Traceback"])


@pytest.mark.parametrize("path", WSGI_FAILS)
def test_wsgi_answers_that_fail_before_the_first_byte(wsgi, path):
    mark = len(wsgi.stdout())
    with wsgi.connect() as c:
        assert c.request("GET", "/hello").body == b"hello"
        r = c.request("POST", path, body=b"order")
        assert r.status == 500 and r.closes
        c.expect_close()
    lines = wait_for(lambda: [line for line in wsgi.stdout()[mark:].splitlines() if path in line])
    assert [line.split()[2] for line in lines] == ["500"]


def test_wsgi_second_start_response_takes_the_place_of_the_first(wsgi):
    with wsgi.connect() as c:
        r = c.request("GET", "/recovers")
        assert r.status == 503 and r.get("x-second") == "yes" and r.body == b"sorry" and not r.closes


def test_wsgi_request_that_the_end_of_time_cuts(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with Server("apps.wsgi_cases:app", {**LOG, "server": {"graceful_timeout": "1s"}}) as server, server.connect() as c:
        c.send_request("GET", f"/waits?fifo={tmp_path / 'fifo'}")
        server.wait_event(path="waits")
        server.signal(signal.SIGTERM)
        assert c.read_response().status == 503
        assert server.wait_exit() == 0
        assert logged(server, "/waits") == ["503"]
