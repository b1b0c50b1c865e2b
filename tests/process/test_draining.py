# SPDX-License-Identifier: BSD-3-Clause
"""Long answers at a graceful stop: who listens ends at once, who does not is cut while there is time left for the application's
hooks, and both see lifespan shutdown and atexit functions run."""

import signal

import pytest

from lib.h2 import H2
from lib.server import Server
from lib.ws import WS

FOREVER = {"server": {"graceful_timeout": "1h"}}  # who waits for this is killed by the test's deadline
SHORT = {"server": {"graceful_timeout": "2s", "shutdown_timeout": "1s"}}


def serve(tmp_path, app="drains", config=FOREVER, **options):
    return Server(app, config, env={"TINE_TEST_MARKS": str(tmp_path)}, **options)


def expect_end(server, tmp_path, hook=True):
    assert server.wait_exit() == 0
    assert "killing it" not in server.log()
    assert (tmp_path / "atexit").exists()
    if hook:
        server.wait_event(hook=True, draining=True)
        assert (tmp_path / "hook").exists()


# --- event streams ---

def test_an_event_stream_that_listens_ends_at_once_and_whole(tmp_path):
    with serve(tmp_path) as server, server.connect() as c:
        c.send_request("GET", "/listens")
        server.wait_event(path="listens")
        server.signal(signal.SIGTERM)
        server.wait_event(path="listens", got="http.disconnect")
        assert c.read_response().body == b"data: first\n\n", "the last chunk was not sent"
        expect_end(server, tmp_path)


def test_an_event_stream_over_http2_ends_at_once_and_whole(tmp_path):
    with serve(tmp_path, flags="h2c") as server, H2(server.connect()) as h:
        stream = h.request("GET", "/listens")
        server.wait_event(path="listens")
        server.signal(signal.SIGTERM)
        server.wait_event(path="listens", got="http.disconnect")
        answer = h.answer(stream)
        assert answer.ended and answer.body == b"data: first\n\n"
        h.conn.close()
        expect_end(server, tmp_path)


@pytest.mark.parametrize("method,kind", [("POST", "text/event-stream"), ("GET", "text/plain"), ("GET", "text/event-streams")])
def test_an_answer_that_nobody_asks_for_again_is_not_disturbed(tmp_path, method, kind):
    """A browser opens an EventSource again; an answer to a POST, a download and the like would be lost."""
    with serve(tmp_path, config=SHORT) as server, server.connect() as c:
        c.send_request(method, f"/listens?kind={kind}")
        server.wait_event(path="listens")
        server.signal(signal.SIGTERM)
        server.wait_log("are left of those in flight: cutting them")
        c.read_to_end()
        expect_end(server, tmp_path)


def test_an_event_stream_that_begins_while_the_worker_drains_ends_too(tmp_path):
    with serve(tmp_path) as server, server.connect() as c, server.connect() as late:
        c.send_request("GET", "/awaits")
        server.wait_event(path="awaits")
        late.send("GET /listens HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n")
        c.read_until(b"data: first")
        server.signal(signal.SIGTERM)
        server.wait_event(path="awaits", is_set=True)
        late.send("x")
        server.wait_event(path="listens", got="http.disconnect")
        assert late.read_response().body == b"data: first\n\n"
        expect_end(server, tmp_path)


# --- tine.draining ---

def test_an_answer_that_awaits_the_drain_completes(tmp_path):
    with serve(tmp_path) as server, server.connect() as c:
        c.send_request("GET", "/awaits")
        server.wait_event(path="awaits", was_set=False)
        server.signal(signal.SIGTERM)
        assert c.read_response().body == b"data: first\n\nbye"
        expect_end(server, tmp_path)


def test_a_reload_drains_too(tmp_path):
    with serve(tmp_path, respawn=True) as server, server.connect() as c:
        c.send_request("GET", "/awaits")
        server.wait_event(path="awaits")
        server.signal(signal.SIGHUP)
        server.wait_log("reloaded: generation 2 serves")
        assert c.read_response().body == b"data: first\n\nbye"


def test_a_reload_leaves_event_streams_alone_and_a_stop_after_it_ends_them(tmp_path):
    """What an application has to say is not lost to a reload; another worker serves others meanwhile."""
    with serve(tmp_path, respawn=True) as server, server.connect() as c:
        c.send_request("GET", "/listens")
        server.wait_event(path="listens")
        server.signal(signal.SIGHUP)
        server.wait_log("reloaded: generation 2 serves")
        assert not server.has_event(path="listens", got="http.disconnect")
        server.signal(signal.SIGTERM)
        server.wait_event(path="listens", got="http.disconnect")
        assert c.read_response().body == b"data: first\n\n"


@pytest.mark.parametrize("way", [{}, {"preload_app": True}, {"interpreter": "main"}, {"interface": "asgi"}])
def test_it_works_however_the_worker_was_made(tmp_path, way):
    with serve(tmp_path, config={**FOREVER, "app": way}) as server, server.connect() as c:
        c.send_request("GET", "/awaits")
        server.wait_event(path="awaits", was_set=False)
        server.signal(signal.SIGTERM)
        assert c.read_response().body == b"data: first\n\nbye"
        expect_end(server, tmp_path)


def test_a_wsgi_stream_that_waits_for_the_drain_completes(tmp_path):
    with serve(tmp_path, "apps.drains:wsgi") as server, server.connect() as c:
        c.send_request("GET", "/")
        server.wait_event(path="wsgi", was_set=False)
        server.signal(signal.SIGTERM)
        assert c.read_response().body == b"data: first\n\nbye"
        expect_end(server, tmp_path, hook=False)


# --- WebSockets ---

@pytest.mark.parametrize("path", ["/", "/awaits"])
def test_a_websocket_notices(tmp_path, path):
    with serve(tmp_path) as server, WS(server.connect(), path) as ws:
        server.wait_event(path="websocket")
        server.signal(signal.SIGTERM)
        if path == "/awaits":
            server.wait_event(path="websocket", noticed=True)
        ws.expect_close(1012, answer=True)
        server.wait_event(path="websocket", got="websocket.disconnect", code=1012)
        expect_end(server, tmp_path)


# --- who does not listen ---

def test_hooks_run_before_a_kill_though_a_stream_goes_on(tmp_path):
    """With a KILL after graceful_timeout, as docker and Kubernetes send it, everything is done by then."""
    with serve(tmp_path, config=SHORT) as server, server.connect() as c:
        c.send_request("GET", "/deaf")
        server.wait_event(path="deaf")
        server.signal(signal.SIGTERM)
        server.wait_log("are left of those in flight: cutting them")
        expect_end(server, tmp_path)
        c.read_to_end()


def test_a_websocket_whose_client_is_silent_keeps_no_hook_from_running(tmp_path):
    with serve(tmp_path, config=SHORT) as server, WS(server.connect()):
        server.wait_event(path="websocket")
        server.signal(signal.SIGTERM)
        expect_end(server, tmp_path)
