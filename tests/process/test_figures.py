# SPDX-License-Identifier: BSD-3-Clause
"""Figures of /metrics about waiting and about single applications: time in the queue, for the GIL, and of each mount."""

import os
import re
import signal

from lib.client import Conn
from lib.procfs import freeze
from lib.server import Server
from lib.waiting import wait_for

APP = """
import time
def app(environ, start):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.3)
    if environ["PATH_INFO"] == "/bad":
        start("503 Service Unavailable", [])
        return [b"no"]
    start("200 OK", [])
    return [b"yes"]
"""
BUSY = """
import threading
def spin():
    while True:
        sum(range(20000))
threading.Thread(target=spin, daemon=True).start()
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"busy"})
"""


def figures(s):
    with Conn(str(s.dir / "metrics.sock")) as c:
        text = c.request("GET", "/metrics").body.decode()
    return {name: float(value) for name, value in re.findall(r"^([^# ]\S*) (\S+)$", text, re.M)}


def test_waiting_and_mounts(tmp_path):
    (tmp_path / "waiting.py").write_text(APP)
    (tmp_path / "spinning.py").write_text(BUSY)
    config = {"app": {"pythonpath": str(tmp_path), "threads": 1}, "mount:/api": {"module": "waiting:app", "threads": 2},
              "metrics": {"bind": "unix:metrics.sock"}}
    with Server("spinning:app", config) as s:
        held = [s.connect() for _ in range(6)]
        worker = s.workers()[0]
        freeze(worker)  # all of them are there when it looks
        for c in held:
            c.send_request("GET", "/api/slow")
        os.kill(worker, signal.SIGCONT)
        assert [c.read_response().body for c in held] == [b"yes"] * 6
        assert s.get("/api/bad").status == 503 and s.get("/").body == b"busy" and s.get("/").body == b"busy"

        def counted():
            return [figures(s).get(f'tine_mount_requests_total{{mount="{mount}"}}') for mount in ("/api", "/")] == [7, 2]
        wait_for(counted, what="seven requests and two")
        found = figures(s)
        assert found['tine_mount_errors_total{mount="/"}'] == 0
        assert found['tine_mount_errors_total{mount="/api"}'] == 1 and found['tine_mount_duration_seconds_total{mount="/api"}'] >= 1.8
        # Two threads: the second two wait for at least 0.3 s, the last two for 0.6 s.
        assert found["tine_request_queue_seconds_count"] >= 7 and found["tine_request_queue_seconds_sum"] >= 1.7
        assert found['tine_request_queue_seconds_bucket{le="0.25"}'] <= found["tine_request_queue_seconds_count"] - 4
        assert found["tine_gil_wait_seconds_total"] > 0
        for c in held:
            c.close()


def test_no_mounts_no_figures():
    with Server("hello", {"metrics": {"bind": "unix:metrics.sock"}}) as s:
        s.get("/")
        assert not any(name.startswith("tine_mount") for name in figures(s))
