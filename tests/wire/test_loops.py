# SPDX-License-Identifier: BSD-3-Clause
"""app.loop: an application on an event loop that is not Tine's. $TINE_TEST_LOOP: which (asyncio, which needs nothing); the gate
loops runs this file on those of PyPI too."""

import os
import re
import signal
import subprocess

import pytest

from lib.build import binary
from lib.server import Server
from lib.waiting import wait_for
from lib.watched import Watched
from lib.ws import CLOSE, WS, close_payload

LOOP = os.environ.get("TINE_TEST_LOOP", "asyncio")
OWN_TASKS = LOOP in ("trio", "curio")
CONFIG = {"app": {"loop": LOOP, "lifespan": "on", "blocking_warning": "200ms"}, "http": {"keepalive": "500ms", "header_timeout": "500ms"},
          "control": {"socket": "control.sock"}}
TIMEOUT = {"trio": "trio.TooSlowError", "curio": "curio.errors.TaskTimeout"}.get(LOOP, "TimeoutError")
needs_asyncio = pytest.mark.skipif(OWN_TASKS, reason="only on a loop of asyncio's")


@pytest.fixture
def server(serve):
    return serve("loops", CONFIG, flags="h2c", env={"TINE_TEST_LOOP": LOOP}, allow=["Traceback"])


def test_the_loop_that_runs(server):
    said = server.get("/which").json()
    assert said["loop"] == said["state"] == LOOP and said["task"]
    assert said["sniffio"] in (None, LOOP if OWN_TASKS else "asyncio") and (said["sniffio"] or LOOP != "trio")
    tinectl = os.path.join(os.path.dirname(binary()), "tinectl")
    status = subprocess.run([tinectl, "-s", server.dir / "control.sock", "status"], capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^event loop +{LOOP}$", status, re.M), status
    if LOOP == "uvloop":
        assert re.search(r"^interpreter +main: app.loop = uvloop$", status, re.M), status
    server.wait_log(rf"\[INFO\] event loop: {LOOP}( \d\S*)?, ")


def test_bodies_of_requests(server):
    with server.connect() as c:
        assert c.request("POST", "/echo", body=b"").body == b""
        assert c.request("POST", "/echo", body=b"x" * 300000).body == b"x" * 300000
        assert c.request("POST", "/echo", chunks=[b"one", b"two", b"three"]).body == b"onetwothree"


def test_requests_that_wait_for_one_another(server):
    conns = [server.connect().send_request("GET", f"/meets?n=40&i={i}") for i in range(40)]
    assert [c.read_response().body for c in conns] == [b"%d" % i for i in range(40)]
    for c in conns:
        c.close()


def test_pipelined_requests(server):
    with server.connect() as c:
        for i in range(30):
            c.send_request("GET", f"/waits?s=0.00{i % 10}" if i % 2 else "/which")
        for i in range(30):
            assert c.read_response().status == 200


def test_a_slow_reader_holds_the_application(server):
    with server.connect(rcvbuf=4096) as c:
        c.send_request("GET", "/streams?n=200")
        assert c.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert not server.has_event(streamed=200)
        total = len(c.read_exactly(200 * 65536))
        assert total == 200 * 65536
        server.wait_event(streamed=200)


def test_websocket(server):
    with WS(server.connect(), "/") as w:
        for i in range(20):
            w.text(f"message {i}")
        assert [w.read_text() for _ in range(20)] == [f"message {i}" for i in range(20)]
        w.send(CLOSE, close_payload(1000))
        w.expect(CLOSE, close_payload(1000))
    assert server.wait_event(path="websocket")["code"] == 1000


def test_http2(server):
    H2 = pytest.importorskip("lib.h2").H2
    with H2(server.connect()) as h:
        streams = [h.request(path=f"/meets?n=5&i={i}") for i in range(5)]
        assert [h.answer(s).body for s in streams] == [b"%d" % i for i in range(5)]
        assert h.post("/echo", b"y" * 60000).body == b"y" * 60000


def test_timers_of_an_idle_server(server):
    """Nothing else wakes it."""
    with server.connect() as c:
        assert c.request("GET", "/which").status == 200
        c.expect_close()
    with server.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost:")
        assert c.read_response().status == 408


@pytest.mark.parametrize("path, error", [("/fails", "ValueError: it fails"), ("/fails?later=1", "ValueError: it fails"),
                                         ("/background", "KeyError: 'in the background'"), ("/times_out", TIMEOUT)])
def test_errors_are_logged_with_the_request(server, path, error):
    mark = server.log_mark()
    assert server.get(path).status == 500
    server.wait_log(rf'\[ERROR\] Exception in ASGI application: "GET {re.escape(path)} HTTP/1.1" from 127.0.0.1:\d+$', mark)
    server.wait_log(re.escape(error), mark)
    assert "never retrieved" not in server.log()


def test_a_client_that_leaves(server):
    c = server.connect().send_request("GET", "/disconnects")
    server.wait_event(path="disconnects", state="running")
    c.close()
    got = server.wait_event(path="disconnects", state="over")["got"]
    assert got == ["http.request", "http.disconnect"] or (OWN_TASKS and got == ["http.request"])


@pytest.mark.skipif(not OWN_TASKS, reason="asyncio's applications hear of it by receive() alone")
def test_a_client_that_leaves_cancels_the_scope_of_its_request(server):
    c = server.connect().send_request("GET", "/waits?of=leaver")
    server.wait_event(path="waits", state="running", of="leaver")
    mark = server.log_mark()
    c.close()
    assert server.wait_event(path="waits", state="ended", of="leaver")["by"] in ("Cancelled", "TaskCancelled", "CancelledError")
    assert server.get("/which").status == 200
    assert "/waits" not in server.log()[mark:]


def test_a_step_that_blocks_is_told(server):
    assert server.get("/blocks").body == b"blocked"
    found = server.wait_log(r'the event loop has been held for \d+ ms \(app.blocking_warning\) by "GET /blocks"; its stack:\n(  File .*\n)+')
    assert " in blocks\n" in found.group()


def test_a_task_of_the_application_that_blocks_is_told(server):
    """The loop knows its tasks, the server does not: it sees that the loop does not turn."""
    mark = server.log_mark()
    assert server.get("/blocks_beside").body == b"blocked"
    found = server.wait_log(r'the event loop has been held for \d+ ms \(app.blocking_warning\) by a task or callback of the application; '
                            r'its stack:\n(  File .*\n)+', mark)
    assert " in hold_up\n" in found.group()
    server.wait_log(r"the event loop was held for \d+ ms by a task or callback of the application", mark)


def test_stacks(server):
    tinectl = os.path.join(os.path.dirname(binary()), "tinectl")
    c = server.connect().send_request("GET", "/waits?s=1")
    server.wait_event(path="waits", state="running")
    r = subprocess.run([tinectl, "-s", server.dir / "control.sock", "stacks"], capture_output=True, text=True)
    assert r.returncode == 0 and " thread 0x" in r.stdout, r
    assert c.read_response().body == b"waited"
    c.close()


def test_tasks(server):
    tinectl = os.path.join(os.path.dirname(binary()), "tinectl")
    c = server.connect().send_request("GET", "/starts")
    server.wait_event(path="starts", state="running")
    shown = subprocess.run([tinectl, "-s", server.dir / "control.sock", "tasks"], capture_output=True, text=True, check=True).stdout
    assert re.search(r'^\S.*\("?GET /starts.*\):.*\n(    \S.*\n)*    .*loops\.py:\d+ in starts\n', shown, re.M), shown
    assert re.search(r"^    .*loops\.py:\d+ in \S*waits_as_child\n", shown, re.M), shown
    c.close()


def test_request_timeout_cancels():
    config = {**CONFIG, "http": {"request_timeout": "500ms"}}
    with Server("loops", config, env={"TINE_TEST_LOOP": LOOP}) as s:
        assert s.get("/waits").status == 504
        s.wait_event(path="waits", state="ended")
        s.wait_log(r'\[WARNING\] Request cancelled: "GET /waits HTTP/1.1" from 127.0.0.1')
        assert s.get("/which").status == 200


def test_recycling_reload_and_a_graceful_stop():
    config = {"app": CONFIG["app"], "server": {"max_requests": 30, "graceful_timeout": "15s"}, "control": CONFIG["control"]}
    with Watched("loops", config, env={"TINE_TEST_LOOP": LOOP}, respawn=True) as s:
        first = s.workers()
        for i in range(35):
            assert s.get("/which").status == 200
        s.wait_event(lifespan="over")
        wait_for(lambda: s.workers() and not set(first) & set(s.workers()), what="a successor")
        held = s.connect().send_request("GET", "/waits?s=1.5")
        s.wait_event(path="waits", state="running")
        s.signal_until(signal.SIGHUP, r"reloaded")
        assert held.read_response().body == b"waited"
        s.wait_event(lifespan="over")
        last = s.connect().send_request("GET", "/waits?s=1")
        s.wait_event(path="waits", state="running")
        s.signal(signal.SIGTERM)
        assert last.read_response().body == b"waited"
        s.ending = True
        s.wait_event(lifespan="over")


def test_what_does_not_end_is_cancelled():
    config = {"app": CONFIG["app"], "server": {"graceful_timeout": "1s", "shutdown_timeout": "500ms"}}
    with Server("loops", config, env={"TINE_TEST_LOOP": LOOP}) as s:
        c = s.connect().send_request("GET", "/waits")
        s.wait_event(path="waits", state="running")
        s.signal(signal.SIGTERM)
        s.ending = True
        s.wait_event(path="waits", state="ended")
        s.wait_event(lifespan="over")
        s.wait_log(r'Request cancelled: "GET /waits HTTP/1.1"')
        c.close()


@needs_asyncio
@pytest.mark.parametrize("path", ["/leaves", "/leaves?later=1"])
def test_systemexit_of_a_request_has_the_worker_replaced(path):
    with Server("loops", {"app": CONFIG["app"]}, env={"TINE_TEST_LOOP": LOOP}, respawn=True, allow=["Traceback"]) as s:
        first = s.workers()
        assert s.get(path).status == 500
        wait_for(lambda: s.workers() and not set(first) & set(s.workers()), what="a successor")
        assert s.get("/which").status == 200 and "ended the event loop" not in s.log()


@pytest.mark.skipif(LOOP == "curio", reason="no task of curio's can do it")
def test_an_application_that_stops_the_loop():
    """With trio: that cancels the nursery in which the task of its request is, and the server's are."""
    with Server("loops", {"app": CONFIG["app"]}, env={"TINE_TEST_LOOP": LOOP}, respawn=True, allow=["[CRITICAL]", "[ERROR]", "Traceback"]) as s:
        first = s.workers()
        answer = s.get("/stops")
        assert answer.body == b"stopped" if not OWN_TASKS else answer.status == 500
        s.wait_log(r"\[CRITICAL\] The application has stopped the event loop")
        wait_for(lambda: s.workers() and not set(first) & set(s.workers()), what="a successor")
        assert s.get("/which").status == 200


@pytest.mark.skipif(LOOP != "asyncio", reason="what makes asyncio's loop")
@pytest.mark.parametrize("app, keys, made", [("apps.loops:chosen()", {}, b"Made Made"),
                                             ("apps.loops:kinds", {"loop_factory": "apps.loops:make"}, b"Made Made")])
def test_policy_and_factory(app, keys, made):
    with Server(app, {"app": {"loop": "asyncio", "lifespan": "off", **keys}}, env={"TINE_TEST_LOOP": LOOP}) as s:
        assert s.get("/").body == made


def test_preload_app():
    with Server("loops", {"app": {**CONFIG["app"], "preload_app": True}, "server": {"workers": 2}}, env={"TINE_TEST_LOOP": LOOP}) as s:
        assert s.get("/which").json()["loop"] == LOOP
        assert s.get("/waits?s=0.01").body == b"waited"


@pytest.mark.skipif(LOOP != "asyncio", reason="once is enough")
def test_a_library_that_is_missing(tmp_path):
    """An environment without it: the packages that this Python has are hidden."""
    (tmp_path / "curio.py").write_text("raise ImportError('no curio here')\n")
    s = Server("loops", {"app": {"loop": "curio", "pythonpath": [str(tmp_path), str(tmp_path / "../")]}}, status=3)
    s.start()
    try:
        assert s.wait_exit() == 3
        s.wait_log(r"ImportError: app.loop = curio needs the package curio \(==1.6 were tried\) in the application's environment, "
                   r"and importing it failed: no curio here")
    finally:
        s.kill()
        s.cleanup()


@pytest.mark.skipif(LOOP != "asyncio", reason="once is enough")
@pytest.mark.parametrize("options, said", [
    (["app.loop=uvloop", "app.interpreter=sub"], "uvloop runs only in the main interpreter: leave out interpreter = sub"),
    (["app.loop=uvloop", "app.loop_factory=apps.loops:make"], "it makes the loop of loop = asyncio, and no other")])
def test_what_the_configuration_refuses(options, said):
    argv = [binary(), "-t", *(word for option in options for word in ("-o", option)), "apps.loops:app"]
    r = subprocess.run(argv, capture_output=True, text=True)
    assert r.returncode != 0 and said in r.stdout + r.stderr
