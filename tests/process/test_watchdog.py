# SPDX-License-Identifier: BSD-3-Clause
"""server.timeout: a worker that gives no sign of life is reported and replaced; one that only works long is not."""

import os
import re
import signal
import time

import pytest

from lib.build import under_tsan
from lib.client import Truncated
from lib.load import Load
from lib.places import rest
from lib.procfs import freeze
from lib.server import Server
from lib.waiting import wait_for
from lib.watched import Watched


def server(app="hangs", timeout="1s", workers=1, **options):
    return Watched(app, {"server": {"timeout": timeout, "workers": workers}}, respawn=True, **options)


def hang(s, path, headers=()):
    """Sends a worker into it; returns the connection and the worker's id."""
    c = s.connect()
    c.send_request("GET", path, headers)
    return c, s.wait_event(hangs=path.split("?")[0].strip("/"))["pid"]


@pytest.mark.parametrize("how", ["calls" if under_tsan() else "python", "native", "sleep", "locked"])
def test_a_hanging_worker_is_reported_and_replaced(how):
    with server() as s:
        c, pid = hang(s, f"/{how}?secret=x")
        s.wait_log(rf"\[ERROR\] worker 1 \(pid {pid}\) gave no sign of life for \d+\.\d s \(server.timeout\)")
        s.wait_log(rf"\[ERROR\] worker 1 \(pid {pid}\) has held a request of 127.0.0.1 for \d+\.\d s: GET /{how}\?secret=")
        s.wait_log(rf'File ".*hangs.py", line \d+ in {how}')
        s.wait_log(rf"worker 1 \(pid {pid}\) was killed by SIGKILL$")
        s.wait_log(r"worker 1 \(pid \d+\) is ready")
        with pytest.raises((Truncated, ConnectionResetError)):
            c.read_response()
        c.close()
        assert int(s.get("/pid").body) != pid


@pytest.mark.parametrize("how", ["native", "stopped", *rest("python", "sleep", "locked")])
def test_others_go_on_meanwhile(how):
    with server(workers=2) as s:
        s.wait_notified(lambda text: "STATUS=2 of 2" in text)
        with Load(s.address, clients=2, path="/pid") as load:
            load.more()
            if how == "stopped":
                c, pid = s.connect(), s.workers()[0]
                freeze(pid)
            else:
                c, pid = hang(s, f"/{how}")
            s.wait_log(rf"\(pid {pid}\) gave no sign of life")
            answered = load.bodies[str(pid)]
            s.wait_log(rf"\(pid {pid}\) was killed by SIGKILL")
            assert load.bodies[str(pid)] == answered
            s.wait_log(r"\(pid \d+\) is ready", s.log().rindex("was killed"))
            load.more()
        # Connections that the kernel had given to the hanging worker end with it; all others are answered.
        assert load.ok > 200 and sum(load.failed.values()) <= 2, load.failed
        assert s.figure('tine_worker_failures_total{reason="hang"}') == 1
        assert s.figure('tine_worker_failures_total{reason="crash"}') == 0
        c.close()


def test_a_stopped_worker_is_replaced():
    with server("hello") as s:
        [pid] = s.workers()
        freeze(pid)
        s.wait_log(rf"\(pid {pid}\) gave no sign of life")
        s.wait_log(rf"\(pid {pid}\) was killed by SIGKILL")
        assert s.get("/").status == 200


def test_an_idle_worker_lives():
    """Long enough for several looks; what ends the wait is the master's own heartbeat of the service manager."""
    with Server("hello", {"server": {"timeout": "2s"}}, env={"WATCHDOG_USEC": "600000"}) as s:
        wait_for(lambda: sum("WATCHDOG=1" in text for text in s.notified) >= 10, what="ten WATCHDOG=1")
        assert "sign of life" not in s.log()


def test_a_long_request_that_waits_is_no_hang():
    with server(timeout="2s") as s:
        assert s.get("/waits?s=5").body == b"waited"
        assert "sign of life" not in s.log()


def test_a_short_hold_is_no_hang():
    with server(timeout="10s") as s:
        assert s.get("/sleep?s=1").body == b"slept"


def test_loading_is_not_watched(tmp_path):
    """boot_timeout has it."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(2)\nasync def app(scope, receive, send):\n    raise RuntimeError\n")
    config = {"server": {"timeout": "1s"}, "app": {"pythonpath": tmp_path}}
    with Server("slow:app", config) as s:
        assert "sign of life" not in s.log()


def test_0_watches_nothing():
    with server(timeout="0") as s:
        assert s.get("/sleep?s=2").body == b"slept"
        assert "sign of life" not in s.log()


def test_the_master_was_stopped_itself():
    """Time in which it did not run is nobody's silence."""
    with server("hello", timeout="2s") as s:
        before = s.workers()
        os.killpg(s.pid, signal.SIGSTOP)
        wait_for(lambda: all(state(p) == "T" for p in [s.pid, *before]), what="all to be stopped")
        since = time.monotonic()
        wait_for(lambda: time.monotonic() > since + 4.5, what="more than the time-out to pass")
        os.killpg(s.pid, signal.SIGCONT)
        assert s.get("/").status == 200
        mark = s.log_mark()
        s.signal(signal.SIGUSR1)
        s.wait_log("log files reopened", mark)
        assert s.workers() == before


def state(pid):
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]


def test_no_line_can_be_forged():
    """The target of a request stands in the log as it came, without control characters of its own."""
    with server() as s:
        c, pid = hang(s, "/python?" + "y" * 1000)
        line = s.wait_log(rf"\(pid {pid}\) has held a request of .*: (GET /python\S*)$").group(1)
        assert len(line) < 200
        assert re.fullmatch(r"GET /python\?y+", line)
        s.wait_log(rf"\(pid {pid}\) was killed")
        c.close()


def test_the_service_manager_hears_nothing_while_no_worker_is_well():
    with server(timeout="1s", env={"WATCHDOG_USEC": "300000"}) as s:
        s.wait_notified(lambda text: "WATCHDOG=1" in text)
        c, pid = hang(s, "/native")
        s.wait_log("gave no sign of life")
        n = len(s.notified)
        s.wait_log(rf"\(pid {pid}\) was killed by SIGKILL")
        assert "WATCHDOG=1" not in "".join(s.notified[n:])
        wait_for(lambda: "WATCHDOG=1" in "".join(s.notified[n:]), what="WATCHDOG=1 by the new worker's health")
        c.close()
