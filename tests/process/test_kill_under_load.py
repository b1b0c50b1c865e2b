# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of a worker or of the master while requests run: who loses what, and what is left behind."""

import os
import signal
import socket
import threading

import pytest

from lib import load as once
from lib.client import Conn
from lib.procfs import processes_of_session
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import wait_for
from lib.watched import Watched


class Load:
    """Clients that ask again and again, a new connection after each failure; counts answers and failures."""

    def __init__(self, server, clients=4):
        self.server, self.answered, self.failed, self.stopping = server, 0, 0, threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join()

    def run(self):
        while not self.stopping.is_set():
            try:
                with self.server.connect() as c:
                    while not self.stopping.is_set():
                        good = c.request("GET", "/").body == b"Hello, World!"
                        with self.lock:
                            self.answered += good
                            self.failed += not good
            except (OSError, AssertionError):
                with self.lock:
                    self.failed += 1

    def more(self, n=50):
        """Waits for n more answers."""
        start = self.answered
        wait_for(lambda: self.answered >= start + n, what=f"{n} more answers")


def test_killed_worker_is_replaced():
    """At most one request of each connection of that worker is lost; each death is counted."""
    clients = 4
    with Watched("hello", {"server": {"workers": 2}}, respawn=True) as server, Load(server, clients) as load:
        for _ in range(3):
            load.more()
            wait_for(lambda: [w["state"] for w in server.ask("workers")["workers"]] == ["ready"] * 2, what="both to be ready")
            failed, workers = load.failed, server.workers()
            os.kill(workers[0], signal.SIGKILL)
            load.more()
            wait_for(lambda: len(server.workers()) == 2 and workers[0] not in server.workers(), what="a new worker")
            load.more()
            assert load.failed - failed <= clients
        assert server.figure('tine_worker_failures_total{reason="crash"}') == 3
        assert server.figure("tine_worker_starts_total") == 5


def test_killed_worker_is_logged():
    with Server("hello", respawn=True) as server:
        worker, = server.workers()
        os.kill(worker, signal.SIGKILL)
        server.wait_log(rf"{worker}.*(signal 9|SIGKILL|[Kk]illed)")
        wait_for(lambda: server.workers() and server.workers() != [worker], what="a new worker")
        assert server.get("/").body == b"Hello, World!"


def test_killed_master_leaves_no_orphan():
    """Workers see EOF on their channel, finish and go."""
    server = Server("hello", {"server": {"workers": 2, "graceful_timeout": "5s"}}, status=-signal.SIGKILL, respawn=True)
    with server:
        assert server.get("/").body == b"Hello, World!"
        sid = server.pid
        os.kill(sid, signal.SIGKILL)
        assert server.wait_exit() == -signal.SIGKILL
        wait_for(lambda: not processes_of_session(sid), what="the workers to end")


def test_killed_master_takes_a_worker_along_that_is_stuck_in_an_import(tmp_path):
    """It cannot see EOF there, and has no requests."""
    (tmp_path / "stuck.py").write_text("import os, pathlib, select\npathlib.Path(__file__ + '.loading').touch()\n"
                                       "select.select([os.pipe()[0]], [], [])\n")
    server = Server("stuck:app", {"server": {"boot_timeout": "1h"}, "app": {"pythonpath": tmp_path}})
    try:
        server.start()
        wait_for((tmp_path / "stuck.py.loading").exists, what="the import")
        os.kill(server.pid, signal.SIGKILL)
        assert server.wait_exit() == -signal.SIGKILL
        wait_for(lambda: not processes_of_session(server.pid), what="the worker to end")
    finally:
        server.kill()
        server.cleanup()


def test_killed_master_lets_requests_finish():
    server = Server("turns", {"server": {"graceful_timeout": "10s"}}, status=-signal.SIGKILL, respawn=True)
    with server:
        with server.connect() as c:
            c.send_request("GET", "/slow?s=1")
            server.wait_event(path="slow")
            os.kill(server.pid, signal.SIGKILL)
            r = c.read_response()
            assert r.body == b"slow" and r.closes


@pytest.mark.parametrize("preload", [False, True])
def test_killed_master_under_load(tmp_path, preload):
    """Requests in flight finish, all processes end, the port is free; what it left behind is in nobody's way."""
    port, pidfile, path = free_port(), tmp_path / "tine.pid", tmp_path / "tine.sock"
    config = {"server": {"workers": 2, "graceful_timeout": "30s", "bind": [f"127.0.0.1:{port}", f"unix:{path}"], "pidfile": pidfile},
              "app": {"preload_app": preload}, "control": {"socket": tmp_path / "control.sock"}}
    with Server("hangs", config, status=-signal.SIGKILL, respawn=True) as server:
        server.wait_notified(lambda text: "STATUS=2 of 2" in text)
        with once.Load(("127.0.0.1", port), per_connection=10, path="/pid") as load:
            load.more()
            slow = [Conn(("127.0.0.1", port) if n % 2 else path).send_request("GET", f"/waits?s=2&n={n}") for n in range(8)]
            for n in range(8):
                server.wait_event(waits=str(n))
            os.kill(server.pid, signal.SIGKILL)
            assert server.wait_exit() == -signal.SIGKILL
            for c in slow:
                answer = c.read_response()
                assert answer.body == b"waited" and answer.closes
                c.close()
            wait_for(lambda: not processes_of_session(server.pid), what="all processes to end")
        # Who came in the moment that the last worker closed the socket is refused, one way or the other.
        assert set(load.failed) <= {"refused", "lost"} and load.failed.get("lost", 0) <= load.clients, load.failed
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        assert pidfile.exists() and path.is_socket() and (tmp_path / "control.sock").is_socket()
        with Server("hangs", config) as again:
            assert f"pidfile {pidfile} was left by process {server.pid}" in again.log()
            for address in (("127.0.0.1", port), path):
                with Conn(address) as c:
                    assert c.request("GET", "/pid").status == 200
            assert pidfile.read_text() == f"{again.pid}\n"
        assert list(tmp_path.iterdir()) == []


def test_clients_that_vanish_under_load():
    """RSTs of every kind while others are served without loss."""
    with Server("hello") as server, Load(server) as load:
        for i in range(300):
            with server.connect() as c:
                c.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"[:i % 32])
                c.reset()
        load.more()
        assert load.failed == 0
