# SPDX-License-Identifier: BSD-3-Clause
"""How workers boot: a few at a time; what hangs is named before it is killed; a service manager is asked for patience and told
the reason of a failure (sd_notify(3)), which is on standard error too when the error log is a file."""

import os
import re
import signal

import pytest

from lib.places import rest
from lib.server import Server
from lib.waiting import wait_for


@pytest.fixture
def boots(tmp_path):
    """A server whose workers boot while the gate is there."""
    gate = tmp_path / "gate"
    gate.write_text("")

    def start(config=None, boot="", **options):
        env = {"TINE_TEST_GATE": str(gate), "TINE_TEST_BOOT": boot}
        return Server("boots", config or {}, env=env, **options)
    return start, gate


def most_at_once(log):
    """How many workers were between their start and READY at the same time."""
    most = now = 0
    for line in re.findall(r"worker \d+ \(pid \d+\) (started|is ready)", log):
        now += 1 if line == "started" else -1
        most = max(most, now)
    return most


def cores():
    return max(2, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("preload", [False, *rest(True)])
def test_workers_boot_a_few_at_a_time(boots, preload):
    """As many as there are cores (two at least), more when those are ready: at the start, of a new generation, and again after all
    have died at once."""
    start, gate = boots
    workers = cores() * 2 + 1
    gate.unlink()
    with start({"server": {"workers": workers}, "app": {"preload_app": preload}}, respawn=True) as s:
        s.wait_notified(lambda text: f"STATUS={workers} of {workers} workers" in text)
        assert most_at_once(s.log()) <= cores()
        first, mark = s.workers(), s.log_mark()
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: s.log()[mark:].count(") is ready") == workers, what="as many new workers")
        assert most_at_once(s.log()[mark:]) <= cores()
        second, mark = s.workers(), s.log_mark()
        s.signal(signal.SIGHUP)
        wait_for(lambda: len(s.workers()) == workers and not set(second) & set(s.workers()), what="the next generation alone")
        assert most_at_once(s.log()[mark:]) <= cores()


@pytest.mark.parametrize("preload", [False, True])
def test_an_import_that_hangs_is_named(boots, preload):
    start, gate = boots
    s = start({"server": {"boot_timeout": "1s"}, "app": {"preload_app": preload}}, status=3)
    s.start()
    assert s.wait_exit() == 3
    log = s.log()
    who = "mold" if preload else "worker 1"
    assert re.search(rf"\[ERROR\] {who} \(pid \d+\) was not ready after 1 s \(server.boot_timeout\): the stacks of its threads follow", log)
    assert re.search(r'File ".*boots.py", line \d+ in waits_for_the_gate', log)
    s.kill()
    s.cleanup()


def test_a_slow_start_asks_for_patience(boots):
    start, gate = boots
    s = start().start()
    try:
        s.wait_event(boots=True)
        for _ in range(2):
            s.notified.clear()
            s.wait_notified(lambda text: re.fullmatch(r"EXTEND_TIMEOUT_USEC=\d+", text))
        gate.unlink()
        s.wait_ready()
        s.stop()
    finally:
        s.kill()


def test_why_a_start_failed(boots):
    """The log is a file, and nobody looks into it at first."""
    start, gate = boots
    gate.unlink()
    s = start({"log": {"errorlog": "tine.log"}}, boot="fails", status=4)
    s.start()
    s.wait_notified(lambda text: text == "STOPPING=1\nSTATUS=workers failed to boot: at 10.0.0.7")
    assert s.wait_exit() == 4
    assert s.log() == "tine: at 10.0.0.7\n"
    assert "RuntimeError: no database\nat 10.0.0.7" in (s.dir / "tine.log").read_text()
    s.kill()
    s.cleanup()


def test_why_workers_end_again_and_again(boots):
    start, gate = boots
    gate.unlink()
    with start({"log": {"errorlog": "tine.log"}, "server": {"workers": 2}}, respawn=True) as s:
        s.wait_notified(lambda text: "STATUS=2 of 2 workers ready" in text)
        pid = int(s.get("/pid").body)
        with s.connect() as c:
            c.send_request("GET", "/ends")
            c.read_to_end()
        s.wait_notified(lambda text: re.search(r"STATUS=1 of 2 workers ready; the last failure: worker \d \(pid \d+\) exited with "
                                               "status 77", text))
        s.wait_log(r"^tine: worker \d \(pid \d+\) exited with status 77")
        s.notified.clear()
        s.wait_notified(lambda text: text == "STATUS=2 of 2 workers ready")
        assert pid
