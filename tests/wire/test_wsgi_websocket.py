# SPDX-License-Identifier: BSD-3-Clause
"""WebSockets of WSGI applications: environ["gunicorn.socket"] of an upgrade request is a socket that the client is behind."""

import os
import signal

import pytest

from lib.logged import LOG
from lib.places import NO_GREENLETS
from lib.server import Server
from lib.ws import BINARY, CLOSE, TEXT, WS, close_payload, handshake
from lib.waiting import wait_for

APP = "apps.wsgi_socket:app"


@pytest.fixture(params=[("tcp", 4), ("tls", 4), ("tcp", 1)], ids=["tcp", "tls", "one-thread"])
def server(serve, request):
    kind, threads = request.param
    s = serve(APP, {**LOG, "app": {"threads": threads}}, tls=kind == "tls", allow=["Traceback"])
    s.threads = threads
    return s


def ends(w):
    w.send(CLOSE, close_payload(1000))
    assert w.read() == (True, 0, CLOSE, close_payload(1000))
    w.conn.expect_close()


@pytest.mark.parametrize("path", ["/echo", "/returns"])
def test_messages_go_both_ways(server, path):
    mark = server.log_mark()
    with WS(server.connect(), path) as w:
        assert w.response.status == 101 and w.response.get("x-own") == "kept"
        for n in (0, 1, 125, 126, 65535, 65536, 300000):
            data = os.urandom(n)
            w.send(BINARY, data)
            assert w.read() == (True, 0, BINARY, data)
        w.send(TEXT, "caf\u00e9")
        assert w.read() == (True, 0, TEXT, "caf\u00e9".encode())
        ends(w)
    wait_for(lambda: f"GET {path} 101 " in server.stdout(), what="the line of the access log")
    assert "[ERROR]" not in server.log()[mark:]


def test_what_is_sent_with_the_head_is_not_lost(server):
    with WS(server.connect(), "/greets") as w:
        assert w.read() == (True, 0, TEXT, b"hello")
        w.conn.expect_close()


def test_client_that_reads_slowly_holds_the_application_up(server):
    with WS(server.connect(rcvbuf=16384), "/floods") as w:
        for _ in range(200):
            assert w.read() == (True, 0, BINARY, bytes(100000))
        w.conn.expect_close()


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_client_that_leaves_is_an_end_for_the_application(server, how):
    w = WS(server.connect(), f"/echo?{how}")
    w.send(TEXT, "x")
    assert w.read() == (True, 0, TEXT, b"x")
    getattr(w.conn, how)()
    assert server.wait_event(path="echo", tag=how)["code"] is None
    if how == "half_close":
        w.conn.expect_close()


def test_client_that_leaves_before_it_is_answered(server):
    mark = server.log_mark()
    c = server.connect()
    c.send(handshake("/waits"))
    server.wait_event(path="waits", state="running")
    c.reset()
    assert server.wait_event(path="waits", state="over")["data"] == ""
    assert "[ERROR]" not in server.log()[mark:]


def test_exception_in_a_websocket_ends_it_and_is_logged(server):
    mark = server.log_mark()
    with WS(server.connect(), "/raises") as w:
        w.conn.expect_close()
    server.wait_log("ValueError: in a websocket", mark)


def test_usual_response_to_an_upgrade(server):
    with server.connect() as c:
        for _ in range(3):
            c.send(handshake("/refuses"))
            r = c.read_response()
            assert (r.status, r.body, r.get("x-socket")) == (401, b"who are you?", "socket")


@pytest.mark.parametrize("path", ["/writes_nonsense", "/stops_without_a_word"])
def test_what_is_no_101_is_500(server, path):
    with server.connect() as c:
        c.send(handshake(path))
        assert c.read_response().status == 500


def test_requests_that_are_no_upgrade_have_no_socket(server):
    with server.connect() as c:
        assert c.request("GET", "/refuses").get("x-socket") == "NoneType"
        for fields in (["Upgrade: websocket"], ["Connection: upgrade", "Upgrade: h2c"]):
            assert c.request("GET", "/refuses", fields).get("x-socket") == "NoneType"
        assert c.request("POST", "/refuses", ["Connection: upgrade", "Upgrade: websocket"], b"x").get("x-socket") == "NoneType"


@NO_GREENLETS
def test_socket_is_an_ordinary_one(server):
    with server.connect() as c:
        c.send(handshake("/knows"))
        r = c.read_response()
        assert (r.get("x-family"), r.get("x-blocks"), r.get("x-kind")) == ("AF_UNIX", "True", "True")


def test_extended_connect_of_http_2_is_refused(serve):
    h2 = pytest.importorskip("lib.h2")
    with h2.H2(serve(APP, flags="h2c").connect()) as h:
        stream = h.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/echo"),
                         (":authority", "test")], end=False)
        h.until(lambda: h.answers[stream].headers)
        assert h.answers[stream].status == 501


@pytest.mark.parametrize("inside", [False, True], ids=["between messages", "inside a message"])
def test_drain_closes_it_by_the_application(inside):
    """The client gets the application's own Close frame, the worker ends before its time, and nothing is lost of what came before."""
    with Server(APP, {"server": {"graceful_timeout": "30s"}}) as server:
        w = WS(server.connect(), "/echo")
        w.send(TEXT, "first")
        assert w.read() == (True, 0, TEXT, b"first")
        if inside:
            w.conn.send(b"\x81\x85\0\0")
        server.signal(signal.SIGTERM)
        server.wait_log("SIGTERM")
        if inside:
            w.conn.send(b"\0\0later")
            assert w.read() == (True, 0, TEXT, b"later")
        assert w.read() == (True, 0, CLOSE, close_payload(1012))
        w.conn.expect_close()
        assert server.wait_event(path="echo")["code"] == 1012
        assert server.wait_exit() == 0


def test_descriptors_do_not_leak(serve):
    server = serve(APP, {"app": {"threads": 3}})
    pid = server.workers()[0]

    def count():
        return len(os.listdir(f"/proc/{pid}/fd"))

    def round_trip():
        with WS(server.connect(), "/echo") as w:
            ends(w)
        with server.connect() as c:
            c.send(handshake("/refuses"))
            c.read_response()
    round_trip()
    wait_for(lambda: server.get("/refuses").status == 401)
    before = count()
    for _ in range(20):
        round_trip()
    wait_for(lambda: count() <= before + 2, what="descriptors to be closed")
