# SPDX-License-Identifier: BSD-3-Clause
"""A loop that turns and serves nobody: the worker finds out by itself, says so once and is replaced, and nobody who
connects meanwhile is lost."""

import pytest

from lib.load import Load
from lib.server import Server
from lib.waiting import wait_for


def server(workers=1, **keys):
    return Server("deaf", {"server": {"timeout": "1s", "workers": workers, **keys}}, respawn=True)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("which", ["listening", "eventfd", "channel", "all"])
def test_a_worker_whose_registrations_are_gone_is_replaced(which, workers):
    with server(workers) as s:
        pids = set(s.workers())
        assert int(s.get(f"/take/{which}").body) > 0
        match = s.wait_log(r"\[(\d+)\] \[ERROR\] worker is deaf: descriptor \d+ of the server is no longer watched by epoll; "
                           r"asking to be replaced$")
        pid = int(match[1])
        assert pid in pids
        s.wait_log(rf"worker \d \(pid {pid}\) is to be replaced: it is deaf$")
        assert s.get().status == 200
        s.wait_log(rf"worker \d \(pid {pid}\) exited with status 0")
        assert pid not in s.workers() and len(s.workers()) == workers
        assert s.log().count("worker is deaf") == 1
        assert "no sign of life" not in s.log()


def test_the_replacement_comes_first_and_connections_go_on():
    with server() as s, s.connect() as other:
        assert other.request().status == 200
        with Load(s.address, clients=2) as load:
            load.more()
            s.get("/take/listening")
            s.wait_log("exited with status 0")
            load.more()
        assert load.failed == {}
        log = s.log()
        assert log.rindex("is ready") < log.index("exited with status 0")
        assert log.index("is deaf") < log.rindex("is ready")


def test_a_worker_that_is_told_of_no_connection_is_replaced():
    """Its sockets are in the epoll set, with no event asked for: only the master's looks still find clients."""
    with server() as s:
        s.get("/silence/listening")
        wait_for(lambda: s.get().status == 200 and "worker is deaf" in s.log(), what="the worker to notice")
        s.wait_log(r"worker is deaf: connections (came 3 times and epoll told of none|have waited for \d\.\d s)")
        s.wait_log("exited with status 0")
        assert s.get().status == 200


def test_a_healthy_worker_is_left_alone():
    with server(2) as s:
        pids = set(s.workers())
        with Load(s.address, clients=8, per_connection=3) as load:
            load.more(2000)
        with s.connect() as idle:
            s.wait_notified(lambda text: "READY=1" in text)
            assert idle.request().status == 200
        assert load.failed == {} and set(s.workers()) == pids and "deaf" not in s.log()
