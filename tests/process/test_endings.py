# SPDX-License-Identifier: BSD-3-Clause
"""SystemExit, KeyboardInterrupt and their like: a request that raises one gets its answer, those beside it go on, and the
worker is replaced; what ends the event loop itself ends a worker too, which drains first."""

import signal

import pytest

from lib.client import Truncated
from lib.places import rest
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import TEXT, WS, handshake

APP, WSGI = "apps.endings:app", "apps.endings:wsgi"
ENDS = ("Traceback", "[CRITICAL]", "was never retrieved")

# Where an application runs: interpreter, and by way of a mold or not.
PLACES = [("sub", False), ("main", False), ("main", True)]


@pytest.fixture(params=[PLACES[0], PLACES[2], *rest([PLACES[1]])], ids=["sub", "mold", "main"])
def place(request):
    interpreter, preload = request.param
    return {"interpreter": interpreter, "preload_app": preload}


def server(app=APP, keys=None, *, env=None, allow=ENDS, **more):
    return Server(app, {"server": {"workers": 1}, "app": dict(keys or {}), **more}, respawn=True, env=env, allow=allow)


def hold(s, path="/hold"):
    """A request that is in the application until finish()."""
    c = s.connect()
    c.send(f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
    s.wait_event(held=path)
    return c


def finish(c):
    c.send(b"x")
    r = c.read_response()
    c.close()
    return r


def is_replaced(s, old):
    """The worker is gone in order, and another one serves."""
    wait_for(lambda: old not in s.workers(), what="the end of the worker")
    assert s.get("/").body != str(old).encode()
    assert "was killed" not in s.log()


RAISING = [("/exit", "SystemExit"), ("/interrupt", "KeyboardInterrupt"), ("/suspended", "SystemExit"), ("/thread", "SystemExit")]


@pytest.mark.parametrize("path, name", RAISING)
def test_a_request_is_answered_and_those_beside_it_finish(place, path, name):
    with server(keys=place, allow=("Traceback",)) as s:
        old, = s.workers()
        held = hold(s)
        r = s.get(path)
        assert r.status == 500 and r.closes
        s.wait_log(f"{name}.*is to be replaced: {name} in \"GET {path} HTTP/1.1\" from 127.0.0.1")
        s.wait_log("worker 2 .* is ready")
        assert old in s.workers()
        r = finish(held)
        assert r.status == 200 and r.body == str(old).encode()
        is_replaced(s, old)
        if path == "/suspended":
            assert s.wait_event(task="SystemExit(3)")


def test_an_answer_that_has_begun_is_cut():
    with server(allow=("Traceback",)) as s:
        old, = s.workers()
        with s.connect() as c, pytest.raises(Truncated):
            c.request("GET", "/started")
        is_replaced(s, old)


@pytest.mark.parametrize("path", ["/generator_exit", "/cancelled"])
def test_what_does_not_ask_for_an_end_ends_one_request(path):
    with server(allow=("Traceback",)) as s:
        old, = s.workers()
        assert s.get(path).status == 500
        assert s.get("/").body == str(old).encode()
        assert "to be replaced" not in s.log()


def test_many_exits_are_one_replacement():
    with server(allow=("Traceback",)) as s:
        old, = s.workers()
        held = hold(s)
        assert [s.get("/exit").status for _ in range(5)] == [500] * 5
        s.wait_log("worker 2 .* is ready")
        assert finish(held).status == 200
        is_replaced(s, old)
        assert s.log().count(f"(pid {old}) is to be replaced") == 1


@pytest.mark.parametrize("path", ["/task", "/task_interrupt", "/callback", "/callbacks", "/stop", "/sigterm", "/child"])
def test_what_ends_the_loop_lets_requests_finish(place, path):
    with server(keys=place) as s:
        old, = s.workers()
        held = hold(s)
        assert s.get(path).status == (500 if path == "/child" else 200)
        s.wait_log("worker 2 .* is ready")
        assert old in s.workers()
        assert finish(held).body == str(old).encode()
        is_replaced(s, old)
        assert s.log().count("ended the event loop") <= 10
        assert s.wait_event(step="over")["pid"] == old


@pytest.mark.parametrize("path", ["/sigint", "/interrupt_main"])
def test_a_terminals_signal_is_the_masters_to_act_on(place, path):
    with server(keys=place) as s:
        old, = s.workers()
        assert s.get(path).status == 200
        assert s.get("/").body == str(old).encode()


@pytest.mark.parametrize("path", ["/later", "/task_later", "/stop_later"])
def test_while_the_worker_drains(place, path):
    with server(keys=place) as s:
        held, other = hold(s, path), hold(s)
        s.signal(signal.SIGTERM)
        s.wait_notified(lambda text: "STOPPING=1" in text)
        assert finish(held).status == (500 if path == "/later" else 200)
        assert finish(other).status == 200
        assert s.wait_exit() == 0
        assert s.wait_event(step="over")


def test_cancellation_turned_into_an_exit(place):
    with Server(APP, {"server": {"graceful_timeout": "0.2s"}, "app": place}, allow=ENDS) as s:
        with s.connect() as c:
            c.send_request("GET", "/instead_of_cancelled")
            s.wait_event(held="/instead_of_cancelled")
            s.signal(signal.SIGTERM)
            assert s.wait_exit() == 0
        assert s.wait_event(step="over")
        assert "was killed" not in s.log()


def test_over_http2_the_streams_beside_it_finish():
    h2 = pytest.importorskip("lib.h2")
    with Server(APP, {"server": {"workers": 1}}, flags="h2c", respawn=True, allow=("Traceback",)) as s:
        old, = s.workers()
        h = h2.H2(s.connect())
        held = h.request("POST", "/hold", end=False)
        s.wait_event(held="/hold")
        assert h.answer(h.request("GET", "/exit")).status == 500
        s.wait_log("worker 2 .* is ready")
        h.data(held, b"x", end=True)
        assert h.answer(held).status == 200
        h.conn.close()
        is_replaced(s, old)


# --- WebSocket ---

@pytest.mark.parametrize("path", ["/exit", "/interrupt"])
def test_a_websocket_is_closed_with_1011(place, path):
    with server(keys=place, allow=("Traceback",)) as s:
        old, = s.workers()
        held = hold(s)
        with WS(s.connect(), path) as ws:
            ws.send(TEXT, "go")
            ws.expect_close(1011, answer=True)
        s.wait_log("is to be replaced: .* in \"WebSocket /")
        s.wait_log("worker 2 .* is ready")
        assert finish(held).status == 200
        is_replaced(s, old)


def test_a_websocket_that_was_not_accepted_gets_500():
    with server(allow=("Traceback",)) as s:
        old, = s.workers()
        with s.connect() as c:
            c.send(handshake("/refuses"))
            assert c.read_response().status == 500
        is_replaced(s, old)


# --- WSGI ---

@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("path, name", [("/exit", "SystemExit"), ("/interrupt", "KeyboardInterrupt")])
def test_wsgi(place, threads, path, name):
    with server(WSGI, dict(place, threads=threads), allow=("Traceback",)) as s:
        old, = s.workers()
        held = hold(s) if threads > 1 else None
        r = s.get(path)
        assert r.status == 500
        s.wait_log(f"is to be replaced: {name} in \"GET {path} HTTP/1.1\" from 127.0.0.1")
        s.wait_log("worker 2 .* is ready")
        if held:
            assert finish(held).body == str(old).encode()
        is_replaced(s, old)


@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi_answer_that_has_begun(threads):
    with server(WSGI, {"threads": threads}, allow=("Traceback",)) as s:
        old, = s.workers()
        with s.connect() as c, pytest.raises(Truncated):
            c.request("GET", "/started")
        is_replaced(s, old)


@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi_iterable_whose_close_fails_too(threads):
    with server(WSGI, {"threads": threads}, allow=("Traceback",)) as s:
        old, = s.workers()
        assert s.get("/closing").status == 500
        s.wait_log("close\\(\\) fails as well")
        s.wait_log("is to be replaced: SystemExit")
        is_replaced(s, old)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("path, replaced", [("/generator_exit", False), ("/sigterm", True)])
def test_wsgi_other_ends(threads, path, replaced):
    with server(WSGI, {"threads": threads}, allow=("Traceback",)) as s:
        old, = s.workers()
        assert s.get(path).status == (200 if replaced else 500)
        if replaced:
            is_replaced(s, old)
        else:
            assert s.get("/").body == str(old).encode()


# --- the lifespan ---

def test_the_lifespan_while_it_serves(place, tmp_path):
    env = {"LIFESPAN_ENDING": "serving", "LIFESPAN_TOKEN": str(tmp_path / "token")}
    with server(keys=place, env=env, allow=("Traceback",)) as s:
        s.wait_log("is to be replaced: SystemExit in the application's lifespan")
        s.wait_log("worker 2 .* is ready")
        wait_for(lambda: len(s.workers()) == 1, what="one worker")
        assert s.get("/").status == 200


@pytest.mark.parametrize("when", ["exit", "interrupt", "stop", "callback"])
def test_the_lifespan_when_it_shuts_down(place, when):
    with Server(APP, {"app": place}, env={"LIFESPAN_ENDING": when}, allow=ENDS) as s:
        assert s.get("/").status == 200
        s.signal(signal.SIGTERM)
        assert s.wait_exit() == 0
        assert s.wait_event(step="shutdown")
        assert "was killed" not in s.log() and "took too long" not in s.log()


@pytest.mark.parametrize("when, logged", [("in_start", "SystemExit: 3"), ("stop_in_start", "stopped the event loop while it started")])
def test_the_loop_ends_while_the_lifespan_starts(place, when, logged):
    s = Server(APP, {"app": place}, env={"LIFESPAN_ENDING": when}, allow=ENDS, status=3)
    s.start()
    try:
        assert s.wait_exit() == 3
        assert "failed to start" in s.log() and logged in s.log()
    finally:
        s.stop()


# --- reports ---

def test_a_request_that_has_emptied_its_scope(place):
    with server(keys=place, allow=("Traceback",)) as s:
        assert s.get("/no_scope").status == 500
        s.wait_log("ValueError: without a scope")
        assert 'WebSocket' not in s.log() and "Unix socket" not in s.log()
