# SPDX-License-Identifier: BSD-3-Clause
"""The wall clock jumps by an hour: no time-out fires early, none is missing, and what shows the time shows the new one."""

import calendar
import email.utils
import re
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

from lib.waiting import wait_for
from lib.watched import Watched
from lib.ws import PING, PONG, TEXT, WS

HOUR = 3600


class Clock:
    """What the server takes for the wall clock."""

    def __init__(self, folder):
        self.file, library = folder / "offset", folder / "wall_clock.so"
        self.set(0)
        done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("wall_clock.c")],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.env = {"LD_PRELOAD": str(library), "TINE_TEST_CLOCK": str(self.file), "TZ": "UTC",
                    "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=1"}

    def set(self, seconds):
        self.offset = seconds
        self.file.touch()
        with open(self.file, "r+b") as f:
            f.write(struct.pack("=q", seconds))

    def shown_by(self, seconds):
        """Whether that is the time now, give or take what a loaded machine needs."""
        return abs(seconds - time.time() - self.offset) < HOUR / 10


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(autouse=True)
def from_now(clock):
    clock.set(0)


def server(clock, app, timeouts, **sections):
    """All time-outs alike."""
    config = {"server": {name: timeouts for name in ("timeout", "graceful_timeout", "boot_timeout")},
              "http": {name: timeouts for name in ("keepalive", "header_timeout", "body_timeout", "write_timeout", "request_timeout")}}
    for name, keys in sections.items():
        config.setdefault(name, {}).update(keys)
    return Watched(app, config, env={**clock.env, "WATCHDOG_USEC": "900000"}, respawn=True)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_what_shows_the_time_follows(clock, tmp_path, jump):
    log = tmp_path / "access.log"
    with server(clock, "hello", "60s", log={"accesslog": log, "access_log_format": "%(t)s %(D)s"}) as s, s.connect() as c:
        for offset in (0, jump):
            clock.set(offset)
            assert clock.shown_by(email.utils.mktime_tz(email.utils.parsedate_tz(c.request("GET", "/").get("date"))))
            mark = s.log_mark()
            s.signal(signal.SIGUSR1)
            text = s.wait_log(r"^\[([^\]]+) \+0000\] \[\d+\] \[INFO\] .*log files reopened", mark).group(1)
            assert clock.shown_by(calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")))
        assert s.workers() == s.workers_at_ready
        first, second = wait_for(lambda: len(lines := log.read_text().splitlines()) == 2 and lines, what="both lines")
        for line, offset in ((first, 0), (second, jump)):
            stamp, took = re.fullmatch(r"\[(.*) \+0000\] (\d+)", line).groups()
            clock.set(offset)
            assert clock.shown_by(calendar.timegm(time.strptime(stamp, "%d/%b/%Y:%H:%M:%S")))
            assert int(took) < HOUR * 1e6 / 10


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_nothing_fires_early(clock, jump):
    """Time-outs of a minute, and a jump in the middle of all that they are for."""
    keys = {"max_worker_lifetime": "10m"}
    with server(clock, "turns", "60s", server=keys, websocket={"ping_interval": "60s", "ping_timeout": "60s"}) as s:
        conns = idle, head, body, running = [s.connect() for _ in range(4)]
        assert idle.request("GET", "/quick?n=1").status == 200
        head.send("GET / HT")
        body.send("POST /slow?s=2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
        s.wait_event(path="slow")
        running.send_request("GET", "/wait?gate=g")
        s.wait_event(path="wait")
        clock.set(jump)
        told = len(s.notified)
        wait_for(lambda: sum("WATCHDOG=1" in text for text in s.notified[told:]) >= 5, what="time to pass")
        assert body.send("bc").read_response().body == b"slow"
        with s.connect() as c:
            assert c.request("GET", "/open?gate=g").status == 200
        assert running.read_response().status == 200
        assert head.send("TP/1.1\r\nHost: a\r\n\r\n").read_response().status == 500  # no such path: the application raises
        assert idle.request("GET", "/quick?n=2").status == 200
        assert s.workers() == s.workers_at_ready and "sign of life" not in s.log()
        assert s.figure('tine_worker_age_seconds{worker="1"}') < HOUR / 10 > s.figure("tine_request_duration_seconds_sum")
        s.allow.add("Traceback")
        for c in conns:
            c.close()


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_all_fire_in_the_end(clock, jump):
    """Time-outs of a second or so, armed before the jump and after it."""
    with server(clock, "turns", "1500ms", server={"graceful_timeout": "1s", "boot_timeout": "60s"}) as s:
        def begin():
            idle, head, running = s.connect(), s.connect(), s.connect()
            assert idle.request("GET", "/quick?n=1").status == 200
            head.send("GET / HT")
            running.send_request("GET", "/wait?gate=never")
            return idle, head, running
        before = begin()
        clock.set(jump)
        for idle, head, running in (before, begin()):
            idle.expect_close()
            assert head.read_response().status == 408
            assert running.read_response().status == 504
        with s.connect() as c:
            c.send_request("GET", "/wait?gate=stop")
            s.wait_event(gate="stop")
            s.signal(signal.SIGTERM)
            assert s.wait_exit() == 0


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_workers_are_watched_and_replaced(clock, jump):
    """The watchdog, its reports, the pause before the next start, and the age at which workers are replaced."""
    with server(clock, "hangs", "1500ms", server={"max_worker_lifetime": "4s", "workers": 2, "boot_timeout": "60s"},
                http={"request_timeout": 0}) as s:
        clock.set(jump)
        with s.connect() as c:
            c.send_request("GET", "/sleep")
            pid = s.wait_event(hangs="sleep")["pid"]
            took = s.wait_log(rf"\(pid {pid}\) has held a request of 127.0.0.1 for (\S+) s: GET /sleep").group(1)
            assert float(took) < HOUR / 10
            s.wait_log(rf"\(pid {pid}\) was killed by SIGKILL")
            assert float(s.wait_log(r"starts again in (\S+) s").group(1)) <= 0.5
        s.wait_log(r"is to be replaced: it has served for .* s \(server.max_worker_lifetime\)")
        clock.set(0)
        wait_for(lambda: not set(s.workers_at_ready) & set(s.workers()), what="all workers to be replaced")


def test_a_websocket_is_pinged_and_not_cut(clock):
    with server(clock, "websockets", "60s", websocket={"ping_interval": "1s", "ping_timeout": "60s"}) as s:
        with WS(s.connect(), "/echo") as w:
            for jump in (HOUR, -HOUR, 0):
                clock.set(jump)
                _, _, opcode, payload = w.read()
                assert opcode == PING
                w.send(PONG, payload)
            w.text("x").expect(TEXT, "x")
