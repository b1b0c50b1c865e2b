# SPDX-License-Identifier: BSD-3-Clause
"""os.fork() and its relatives in an application: a child is a stranger to the server, whatever it does and however it
ends, and who forks loses nothing."""

import contextlib
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from lib.client import Conn
from lib.places import rest
from lib.procfs import processes_of_session
from lib.server import Server
from lib.sockets import listening_socket
from lib.waiting import wait_for
from lib.ws import WS, engines

ASGI, ASGI_MOLD, WSGI, WSGI_ALONE, WSGI_MOLD = "asgi", "asgi-mold", "wsgi", "wsgi-alone", "wsgi-mold"
ALL = (ASGI, WSGI_MOLD, *rest(ASGI_MOLD, WSGI, WSGI_ALONE))
ENDS = {"exit": 3, "exit0": 0, "text": 1, "raise": 1, "os_exit": 7, "thread": 4, "return": None}
TRACEBACK = "Traceback"  # of a child, in the log


def server(kind, config=None, **options):
    config = {name: dict(keys) for name, keys in (config or {}).items()}
    config.setdefault("app", {}).setdefault("interpreter", "main")
    if kind.endswith("mold"):
        config["app"]["preload_app"] = True
    if kind == WSGI_ALONE:
        config["app"]["threads"] = 1
    options.setdefault("allow", [TRACEBACK])
    return Server("apps.forks:" + ("app" if kind.startswith("asgi") else "wsgi"), config, **options)


@pytest.fixture(scope="module")
def shared():
    """shared(kind): one server for all tests of a kind that leave it as it was."""
    with contextlib.ExitStack() as stack:
        servers = {}
        yield lambda kind: servers.get(kind) or servers.setdefault(kind, stack.enter_context(server(kind)))


def statuses(kind):
    """What a child that comes back as if it were the parent ends with: it is refused the answer."""
    return {**ENDS, "return": 1}


@pytest.mark.parametrize("way", ["fork", "c", "forkpty"])
@pytest.mark.parametrize("kind", ALL)
def test_a_child_that_comes_back_ends_and_others_notice_nothing(kind, way):
    with server(kind) as s, s.connect() as other:
        pid = other.request().json()
        for end, status in statuses(kind).items():
            for _ in range(2):
                assert s.get(f"/end/{way}/{end}").json() == status, end
            assert other.request().json() == pid
        if way != "forkpty":  # whose standard error, and so the log, is its terminal
            assert s.log().count("ValueError: raised in a child") == 2
            assert s.log().count("Exception in a process that the application forked") == 4
            assert s.log().count("a last word") == 2
        assert s.workers() == [pid]
    assert s.has_event(thread="done") or way == "c"  # CPython knows nothing of a fork in C, and waits for no thread
    assert {e["pid"] for e in s.events if "atexit" in e or "shutdown" in e} == {pid}


@pytest.mark.parametrize("end", ["exit", "raise", "os_exit", "return"])
@pytest.mark.parametrize("where", ["task", "callback", "awaited"])
def test_a_child_forked_in_the_loop_ends(shared, where, end):
    s = shared(ASGI)
    with s.connect() as other:
        pid, mark = other.request().json(), s.log_mark()
        expected = 0 if (where, end) == ("task", "return") else statuses(ASGI)[end]
        assert s.get(f"/{where}/{end}").json() == expected
        assert other.request().json() == pid
        assert s.log()[mark:].count("ValueError: raised in a child") == (end == "raise")


@pytest.mark.parametrize("end", ["exit", "raise", "os_exit"])
@pytest.mark.parametrize("kind, where", [(ASGI, "executor"), (ASGI, "thread"), (WSGI, "thread"), (WSGI_ALONE, "thread")])
def test_a_child_forked_in_a_thread_of_the_application_ends(shared, kind, where, end):
    """A thread of its own just ends, and the process with it: 0, as that of CPython would."""
    s = shared(kind)
    with s.connect() as other:
        pid = other.request().json()
        expected = ENDS[end] if where == "executor" or end == "os_exit" else 0
        assert s.get(f"/{where}/{end}").json() == expected
        assert other.request().json() == pid


@pytest.mark.parametrize("end", ["exit", "return"])
def test_work_that_waits_for_a_thread_that_forks_is_done_once(end):
    with server(ASGI) as s:
        assert s.get(f"/queued/{end}").json() == {"exit": 3, "return": 0}[end]
        worker = s.workers()[0]
        wait_for(lambda: s.has_event(work=0) and s.has_event(work=1) and s.has_event(work=2), what="the other work")
    assert sorted((e["work"], e["pid"]) for e in s.events if "work" in e) == [(n, worker) for n in range(3)]


def test_a_child_forked_in_c_in_a_sub_interpreter_ends():
    with server(ASGI, {"app": {"interpreter": "sub"}}) as s, s.connect() as other:
        pid = other.request().json()
        for end, status in (("exit", 3), ("raise", 1), ("return", 1), ("os_exit", 7)):
            assert s.get(f"/end/c/{end}").json() == status
            assert other.request().json() == pid


def test_a_child_that_waits_for_its_parents_loop_ends():
    with server(ASGI) as s:
        assert s.get("/await").json() == 1
        s.wait_log(r"\[ERROR\] a process that the application forked waits for the event loop, which is its parent's: it ends$")


@pytest.mark.parametrize("kind", [WSGI, WSGI_ALONE])
def test_children_of_the_iterable_its_close_and_the_body(kind):
    with server(kind) as s, s.connect() as c:
        assert c.request("GET", "/pieces/exit").json() == 3
        assert c.request("GET", "/pieces/raise").json() == 1
        assert c.request("GET", "/closing").body == b"ok"
        assert s.wait_event(closed=3)
        assert c.request("POST", "/body", body=b"x" * 10).json() == 1
        s.wait_log("RuntimeError: this process was forked by the application, and the request's body is its parent's")


# --- what a child is ---

def check_descriptors(fds, sockets=0, eventfds=0):
    """Standard streams, the error log, and the application's own: nothing of the server's."""
    assert len([f for f in fds.values() if f.startswith("socket:")]) <= sockets, fds
    assert len([f for f in fds.values() if f == "anon_inode:[eventfd]"]) <= eventfds, fds
    assert not [f for f in fds.values() if f.startswith("anon_inode:") and "eventfd" not in f], fds


@pytest.mark.parametrize("way", ["fork", "c", "forkpty"])
@pytest.mark.parametrize("kind", ALL)
def test_a_child_has_nothing_of_the_server(kind, way, tmp_path):
    config = {"log": {"accesslog": tmp_path / "access"}, "app": {"blocking_warning": "10s"}}
    with server(kind, config) as s, s.connect() as other, s.connect() as idle:
        other.request()
        found = s.get(f"/look/{way}").json()
        # The pair by which Python's signals wake a loop is for Python to forget, and it knows nothing of a fork in C.
        check_descriptors(found["fds"], sockets=2 if way == "c" else 0)
        assert str(tmp_path / "access") not in found["fds"].values()
        assert signal.SIGTERM not in found["signals"]["SigBlk"] and not found["signals"]["SigBlk"]
        caught, ignored = set(found["signals"]["SigCgt"]), set(found["signals"]["SigIgn"])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2):
            assert number not in caught | ignored, number
        assert way == "c" or "no running event loop" in found["running"]
        if kind in (ASGI, ASGI_MOLD):
            for name in ("call_soon", "call_later", "call_soon_threadsafe", "add_reader", "create_task", "run_forever"):
                assert found["loop"][name].startswith("RuntimeError: this process was forked by the application"), name
            assert found["loop"]["remove_reader"] is None and found["loop"]["is_running"] is False and found["close"] is None
        for own in ("own", "own again") if found["running"] else ():
            assert found[own] == [[[0, True], [1, True], [2, True]], True, "hello\n"]
        other.request()
        assert idle.is_open() and idle.request().status == 200


def test_a_child_forked_by_http2_takes_nothing_along():
    from lib.h2 import H2
    with server(ASGI, flags=" h2c") as s, H2(s.connect()) as h2:
        for path, expected in (("/end/fork/exit", 3), ("/end/c/raise", 1), ("/end/fork/return", 1)):
            first, other = h2.request("GET", path), h2.request("GET", "/")
            assert json.loads(h2.answer(first).body) == expected
            assert json.loads(h2.answer(other).body) in s.workers()
        check_descriptors(json.loads(h2.get("/look/fork").body)["fds"])


def test_a_child_says_nothing_on_connections_of_tls():
    with server(ASGI, tls=True) as s, s.connect() as c:
        for path, expected in (("/end/fork/exit", 3), ("/end/c/raise", 1), ("/end/fork/return", 1)):
            assert c.request("GET", path).json() == expected
        check_descriptors(c.request("GET", "/look/fork").json()["fds"])


@pytest.mark.parametrize("engine", engines())
def test_a_child_forked_by_a_websocket_takes_nothing_along(engine):
    with server(ASGI, {"websocket": {"engine": engine}}) as s, WS(s.connect()) as first, WS(s.connect()) as second:
        for path, expected in (("/end/fork/exit", 3), ("/end/fork/raise", 1), ("/end/c/return", 1)):
            assert json.loads(first.text(path).read_text()) == expected
        # Libwebsockets and libuv do not tell what else they open, such as a netlink socket and an io_uring; nobody is harmed by it.
        fds = json.loads(first.text("/look/fork").read_text())["fds"]
        known = {"anon_inode:[io_uring]"} | {f"socket:[{line.split()[-1]}]" for line in Path("/proc/net/netlink").read_text().splitlines()[1:]}
        check_descriptors({n: f for n, f in fds.items() if f not in known}, eventfds=2 if engine == "libwebsockets" else 0)
        assert json.loads(second.text("/").read_text()) in s.workers()


# --- libraries that fork ---

RESULTS = {"fork": [[0, 1, 4, 9], True, 0], "spawn": [[0, 1, 4, 9], True, 0], "forkserver": [[0, 1, 4, 9], True, 0],
           "executor": [0, 1, 4, 9], "preexec": [0, "hello"], "pty": [0, "from a terminal"], "spawned": 0,
           "terminated": -signal.SIGTERM}


@pytest.mark.parametrize("kind", [ASGI, WSGI, *rest(WSGI_ALONE, ASGI_MOLD)])
def test_libraries_that_fork_work(kind):
    with server(kind) as s, s.connect() as other:
        pid = other.request().json()
        for job, result in RESULTS.items():
            assert s.get(f"/job/{job}").json() == result, job
            assert other.request().json() == pid, job


# --- where else ---

@pytest.mark.parametrize("end", ["exit", "raise", "return"])
@pytest.mark.parametrize("where", ["import", "lifespan"])
@pytest.mark.parametrize("kind", [ASGI, *rest(ASGI_MOLD)])
def test_a_child_forked_at_the_start_ends_and_the_service_starts(kind, where, end):
    expected = {**ENDS, "return": 0 if where == "import" else 1}[end]
    with server(kind, env={"TINE_FORK_AT": where, "TINE_FORK_END": end}) as s:
        assert s.wait_event(forked=expected)
        assert s.get().json() in s.workers()


# --- signals and the end ---

@pytest.mark.parametrize("kind", ALL)
def test_a_signal_ends_a_child_and_nobody_else(kind):
    with server(kind) as s:
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2):
            pid, worker = s.get("/sleep/fork").json(), s.get().json()
            os.kill(pid, signo)
            wait_for(lambda pid=pid: is_zombie(pid), what=f"the child's end by {signo!r}")
            assert s.get().json() == worker and s.workers() == [worker], signo
        assert "exited" not in s.log() and "draining" not in s.log()


@pytest.mark.parametrize("kind", [ASGI, *rest(ASGI_MOLD)])
def test_the_end_of_a_daemon_is_nobodys_business(kind):
    """With a mold the master is who inherits orphans."""
    with server(kind) as s:
        worker = s.get().json()
        assert s.get("/end/fork/daemon").json() == 0
        pid = s.wait_event(daemon=True)["pid"]
        before = s.log()
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}") or (kind == ASGI and is_zombie(pid)), what="the daemon's end")
        assert s.get().json() == worker and s.workers() == [worker]
        assert s.log() == before


def is_zombie(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return "Z" in stat.read().rpartition(")")[2]


def binds(address, reuse):
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        again.bind(address)
        again.listen()


@pytest.mark.parametrize("kind", ALL)
def test_the_port_is_free_after_a_stop_though_children_live(kind):
    with listening_socket() as probe:
        address = probe.getsockname()
    s = server(kind, {"server": {"bind": "%s:%d" % address, "graceful_timeout": "500ms"}})
    s.start()
    try:
        s.wait_ready()
        with Conn(address) as c:
            pids = c.request("GET", "/busy").json()
            pids.append(c.request("GET", "/sleep/fork").json())
            for _ in range(3):
                s.wait_event(busy=True)
        wait_for(lambda: not established(address[1]), what="the end of the connection")
        s.signal(signal.SIGTERM)
        s.wait_exit()
        living = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
        assert len(living) >= 2, "no child has outlived the service: this proves nothing"
        binds(address, False)
        binds(address, True)
        for pid in living:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not processes_of_session(s.pid), what="the end of the children")
    finally:
        s.kill()
        s.cleanup()


@pytest.mark.parametrize("kind, interpreter, method", [(ASGI, "sub", "spawn"), (WSGI, "main", "forkserver"), *rest(
    [ASGI, "sub", "forkserver"], [ASGI, "main", "spawn"], [ASGI, "main", "forkserver"], [WSGI, "sub", "spawn"],
    [WSGI, "sub", "forkserver"], [WSGI, "main", "spawn"])])
def test_processes_of_an_executor_have_nothing_of_the_server_and_the_port_is_free(kind, interpreter, method, tmp_path):
    """They are programs of their own; a fork is not possible in a sub-interpreter."""
    with listening_socket() as probe:
        address = probe.getsockname()
    s = server(kind, {"server": {"bind": "%s:%d" % address, "graceful_timeout": "500ms"}, "log": {"accesslog": tmp_path / "access"},
                      "app": {"interpreter": interpreter}})
    s.start()
    try:
        s.wait_ready()
        with Conn(address) as c:
            assert c.request("GET", f"/busy/{method}").status == 200
            for _ in range(2):
                s.wait_event(busy=True)
            worker, = s.workers()
            others = set(processes_of_session(s.pid)) - {s.pid, worker}
            assert len(others) >= 2
            for pid in others:
                names = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
                # Pipes are its own, and a forkserver has a selector and a socket in the file system.
                assert not [n for n in names if n.startswith(("anon_inode:[eventfd", "/memfd:")) or n == str(tmp_path / "access")], names
        wait_for(lambda: not established(address[1]), what="the end of the connection")
        s.signal(signal.SIGTERM)
        s.wait_exit()
        binds(address, False)
        binds(address, True)
        for pid in others:
            if os.path.exists(f"/proc/{pid}"):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not processes_of_session(s.pid), what="the end of the children")
    finally:
        s.kill()
        s.cleanup()


def established(port):
    """Connections of this port, from whichever side, that are still there (TIME_WAIT too: it keeps a port from others)."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.read().splitlines()[1:]]
    return [row for row in rows if row[3] != "0A" and int(row[1].split(":")[1], 16) == port]
