# SPDX-License-Identifier: BSD-3-Clause
"""Descriptors and child processes: none is left behind by requests, errors, vanished clients or the server's end."""

import os

import pytest

from lib.procfs import children_of
from lib.waiting import wait_for


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def settles_at(pid, before):
    wait_for(lambda: descriptors(pid) <= before, what=f"descriptors to come down from {descriptors(pid)} to {before}")


@pytest.mark.parametrize("app, paths", [
    ("answers", ["/sized", "/stream", "/close", "/big?n=1000000"]), ("broken", ["/raises", "/too_long", "/too_short", "/returns_after_start"]),
    ("extended", ["/path?size=100000", "/zero?offset=1", "/zero_short", "/path_missing"]),
    ("loopapi", ["/tcp", "/unix", "/datagrams", "/sock_calls", "/subprocess_exec"])])
def test_no_descriptor_is_left(serve, app, paths):
    server = serve(app, allow=["Traceback"])
    worker, = server.workers()
    for path in paths:
        with server.connect() as c:
            c.send_request("GET", path)
            c.half_close()
            c.read_to_end()
    before = descriptors(worker)
    for _ in range(20):
        for path in paths:
            with server.connect() as c:
                c.send_request("GET", path)
                c.half_close()
                c.read_to_end()
    settles_at(worker, before)
    assert children_of(worker) == []


def test_no_descriptor_is_left_by_vanished_clients(serve):
    server = serve("extended", allow=["Traceback"])
    worker, = server.workers()
    before = descriptors(worker)
    for i in range(50):
        with server.connect(rcvbuf=16384) as c:
            c.send_request("GET", "/path?size=5000000")
            if i % 2:
                c.read_until(b"line 000010\n")
            c.reset()
    settles_at(worker, before)


def test_application_inherits_no_descriptors(serve):
    """What an application's own child process gets: its three standard streams and nothing of ours."""
    server = serve("descriptors")
    assert server.get("/").json() == []
