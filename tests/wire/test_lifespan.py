# SPDX-License-Identifier: BSD-3-Clause
"""Lifespan: life of the application before the first and after the last request."""

import signal
import socket

import pytest

from lib.client import Conn
from lib.server import Server
from lib.waiting import wait_for


def app(name):
    return f"apps.lifespan:{name}"


class Gate:
    """What applications wait at: accept() returns who came; let() lets them through."""

    def __init__(self, tmp_path):
        self.path = str(tmp_path / "gate")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(20)

    def accept(self):
        conn, _ = self.listener.accept()
        conn.settimeout(20)
        name = b""
        while not name.endswith(b"\n"):
            name += conn.recv(100)
        return name.decode().strip(), conn

    @staticmethod
    def let(conn):
        conn.send(b"x")
        conn.close()


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


def boot_fails(name, status, mode=None, allow=("Traceback", "[CRITICAL]")):
    """Starts a server that must not come up; returns its log. A waiting client gets no answer."""
    server = Server(app(name) if ":" not in name else name, {"app": {"lifespan": mode}} if mode else {}, status=status, allow=allow)
    try:
        with Conn(server.address) as c:
            c.send_request("GET", "/")
            server.start()
            assert server.wait_exit() == status
            assert not any("READY=1" in text for text in server.notified)
            log = server.log()
            server.stop()
            assert c.read_to_end() == b""
        return log
    except BaseException:
        server.kill()
        server.dump("boot test failed")
        server.cleanup()
        raise


def test_lifespan_order_and_scope():
    with Server(app("good")) as server:
        event = server.wait_event(step="startup")
        assert event["type"] == "lifespan.startup" and event["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        assert event["state"] == "{}" and {"type", "asgi", "state"} <= set(event["keys"])
        assert server.get("/x").body == b"up"
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        wait_for(lambda: len(server.events) >= 4, what="the last events, which a thread reads")
        steps = [e.get("step") or e.get("http") for e in server.events]
        assert steps == ["/x", "answered", "shutdown", "over"]


def test_no_request_before_startup_is_complete(gate):
    server = Server(app("gated"), env={"TINE_TEST_GATE": gate.path})
    try:
        server.start()
        with server.connect() as c:
            c.send_request("GET", "/early")
            name, conn = gate.accept()
            assert name == "startup"
            c.expect_no_more()
            assert not server.has_event(http="/early") and not any("READY=1" in t for t in server.notified)
            gate.let(conn)
            assert c.read_response().body == b"up"
            server.wait_ready()
        server.signal(signal.SIGTERM)
        name, conn = gate.accept()
        assert name == "shutdown" and server.alive()
        gate.let(conn)
        server.stop()
    except BaseException:
        server.kill()
        server.dump("test failed")
        server.cleanup()
        raise


def test_shutdown_comes_after_the_last_request(gate):
    server = Server(app("gated"), env={"TINE_TEST_GATE": gate.path})
    try:
        server.start()
        gate.let(gate.accept()[1])
        server.wait_ready()
        with server.connect() as c:
            c.send_request("GET", "/gate")
            name, held = gate.accept()
            assert name == "request"
            server.signal(signal.SIGTERM)
            server.wait_notified(lambda text: "STOPPING=1" in text)
            assert not server.has_event(step="shutdown")
            gate.let(held)
            r = c.read_response()
            assert r.body == b"up" and r.closes
            c.expect_close()
        name, conn = gate.accept()
        assert name == "shutdown"
        wait_for(lambda: [e["step"] for e in list(server.events) if "step" in e] == ["answered", "shutdown"])
        gate.let(conn)
        server.stop()
    except BaseException:
        server.kill()
        server.dump("test failed")
        server.cleanup()
        raise


def test_shutdown_is_bounded():
    """An application that never finishes shutting down does not keep the service alive."""
    config = {"server": {"graceful_timeout": "1s"}}
    with Server(app("hangs_in_shutdown"), config, allow=["Traceback"]) as server:
        assert server.get("/").body == b"up"
        server.signal(signal.SIGTERM)
        server.wait_event(step="shutdown")


def test_state_is_a_shallow_copy_for_each_request():
    with Server(app("state")) as server:
        with server.connect() as c:
            first = c.request("GET", "/a").json()
            second = c.request("GET", "/b").json()
        third = server.get("/c").json()
        assert first == {"keys": ["list", "number", "object"], "number": 7, "list": [], "type": "Shared"}
        assert second == dict(first, list=["/a"]) and third == dict(first, list=["/a", "/b"])
        server.signal(signal.SIGTERM)
        assert server.wait_event(step="shutdown")["keys"] == ["list", "number", "object"]


def test_no_state_without_lifespan():
    with Server(app("stateless")) as server:
        assert server.get("/").json() in ({"state": False}, {"state": True})


@pytest.mark.parametrize("name", ["unsupported", "returns"])
def test_lifespan_auto_continues_without_it(name):
    with Server(app(name)) as server:
        assert server.get("/").body == b"up"
        assert "[ERROR]" not in server.log()


@pytest.mark.parametrize("name", ["unsupported", "raises"])
def test_lifespan_on_needs_it(name):
    assert "Traceback" in boot_fails(name, 3, "on")


@pytest.mark.parametrize("name", ["good", "fails", "raises", "never_ends"])
def test_lifespan_off_never_calls_it(name):
    with Server(app(name), {"app": {"lifespan": "off"}}) as server:
        assert server.get("/").body == b"up"
        assert not server.has_event(step="startup")


@pytest.mark.parametrize("mode", [None, "auto", "on"])
def test_startup_failed_fails_the_boot(mode):
    assert "the database is away" in boot_fails("fails", 3, mode)


@pytest.mark.parametrize("name", ["fails_without_message", "fails_and_raises"])
def test_other_ways_to_fail_at_startup(name):
    boot_fails(name, 3)


def test_startup_failed_with_several_workers():
    server = Server(app("fails"), {"server": {"workers": 3}}, status=3, allow=("[CRITICAL]",))
    server.start()
    try:
        assert server.wait_exit() == 3
        assert "the database is away" in server.log()
    finally:
        server.stop()


def test_startup_that_never_ends_is_bounded():
    server = Server(app("never_ends"), {"server": {"boot_timeout": "1s"}}, status=3, allow=("[CRITICAL]",))
    server.start()
    try:
        assert server.wait_exit() == 3
        assert "boot_timeout" in server.log() or "1 s" in server.log() or "in time" in server.log()
    finally:
        server.stop()


@pytest.mark.parametrize("name, then", [("tidies_up", "cleaned"), ("starts_all_the_same", "lifespan.shutdown"),
                                        ("never_ends", None)])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGQUIT])
def test_stopped_while_it_starts(name, then, sig):
    """The start-up is cancelled, runs to its end and is no failure."""
    server = Server(app(name), {"app": {"lifespan": "on"}})
    server.start()
    try:
        server.wait_event(step="startup")
        server.signal(sig)
        assert server.wait_exit() == 0
        assert then is None or server.wait_event(step=then)
        rest = server.log().replace("[WARNING] the application runs as root", "")
        assert "failed to start" not in rest and "[WARNING]" not in rest
    finally:
        server.stop()


@pytest.mark.parametrize("name, logged", [("raises_later", "shut-down went wrong"), ("shutdown_failed", "could not flush")])
def test_shutdown_that_fails_is_logged(name, logged):
    server = Server(app(name), allow=("Traceback",))
    with server:
        assert server.get("/").body == b"up"
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert logged in server.log()


def test_lifespan_may_return_after_startup():
    with Server(app("returns_after_startup")) as server:
        assert server.get("/").body == b"up"


def test_wrong_message_in_lifespan_is_an_exception_there():
    """A failed start, as any exception after lifespan.startup was received."""
    assert "unexpected message" in boot_fails("wrong_message", 3)


@pytest.mark.parametrize("name", ["answers_anything", "answers_anything_received", "answers_as_websocket"])
def test_application_that_answers_lifespan_like_a_request_goes_without(name):
    """It never looks at scope["type"]."""
    with Server(app(name)) as server:
        assert server.get("/").body == b"up"
        log = server.log()
        assert log.count("Application answers lifespan with messages of another protocol") == 1 and "[ERROR]" not in log


def test_application_that_answers_lifespan_like_a_request_fails_where_it_must_not():
    assert "unexpected message" in boot_fails("answers_anything", 3, mode="on")


@pytest.mark.parametrize("name, cause", [("failed_quietly", "ValueError: no database"), ("failed_and_waits", "lifespan.startup.failed")])
def test_failed_start_without_a_message_names_the_exception_that_follows(name, cause):
    assert cause in boot_fails(name, 3)


@pytest.mark.parametrize("name", ["dies", "dies_loudly", "gives_up"])
def test_lifespan_that_ends_while_it_serves_is_logged_with_its_cause(name):
    with Server(app(name), allow=("Traceback",)) as server:
        server.wait_log("the queue is gone")
        assert server.get("/").body == b"up"
        log = server.log()
        assert "unexpected message" not in log and log.count("[ERROR]") == 1
        assert log.rstrip().splitlines()[-1].endswith("the queue is gone")


def test_tasks_of_startup_live_on():
    with Server(app("background")) as server:
        for _ in range(3):
            assert server.get("/").body == b"worked"


def test_lifespan_runs_once_for_each_worker():
    with Server(app("good"), {"server": {"workers": 3}}) as server:
        pids = {server.wait_event(step="startup")["pid"] for _ in range(3)}
        assert pids == set(server.workers())
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert {e["pid"] for e in server.events if e.get("step") == "over"} == pids
        assert not server.has_event(step="startup")


@pytest.mark.parametrize("module, word", [("apps.unimportable:app", "does not want to be imported"), ("apps.nosuch:app", "apps.nosuch"),
                                          ("apps.hello:nosuch", "nosuch"), ("nosuch_module_at_all:app", "nosuch_module_at_all")])
def test_application_that_does_not_load(module, word):
    assert word in boot_fails(module, 4)
