# SPDX-License-Identifier: BSD-3-Clause
"""log.slow_request and app.blocking_warning: what takes long is told while it does, or as soon as it is over."""

import re
import subprocess
from pathlib import Path

import pytest

from lib.build import binary, under_tsan
from lib.server import Server
from lib.waiting import wait_for


def server(slow, app="hangs", **sections):
    return Server(app, {"log": {"slow_request": slow}, **sections})


def test_a_slow_request_is_told():
    with server("200ms") as s:
        assert s.get("/waits?s=0.5&secret=1").body == b"waited"
        found = s.wait_log(r"\[WARNING\] slow request: (\S+) s \(in the queue 0.000, in the application (\S+), sending (\S+)\), "
                           r'status 200, from 127.0.0.1: "GET /waits\?s=0.5&secret=\*\*\*"$')
        all_of_it, app, sending = map(float, found.groups())
        assert all_of_it >= 0.5 and app >= 0.4 and abs(all_of_it - app - sending) < 0.002


def test_time_in_the_queue_is_told_apart():
    with server("1s", http={"max_inflight": 1}) as s, s.connect() as a, s.connect() as b:
        a.send_request("GET", "/waits?s=0.8&n=1")
        s.wait_event(waits="1")
        b.send_request("GET", "/waits?s=0.8&n=2")
        assert a.read_response().body == b"waited" and b.read_response().body == b"waited"
        found = s.wait_log(r'slow request: \S+ s \(in the queue (\S+), in the application (\S+), .*: "GET /waits\?s=0.8&n=2"$')
        assert float(found.group(1)) > 0.1 and float(found.group(2)) >= 0.7


def test_nothing_is_told_when_it_is_off():
    with server("0") as s:
        assert s.get("/waits?s=0.5").body == b"waited"
        assert not re.search("slow request", s.log())


# --- app.blocking_warning ---

def watched(limit="150ms", app="hangs", config=None, **options):
    config = {name: dict(keys) for name, keys in (config or {}).items()}
    config.setdefault("app", {})["blocking_warning"] = limit
    config.setdefault("control", {})["socket"] = "control.sock"
    return Server(app, config, **options)


def blocked(s, route):
    """How many steps of this route the metrics have."""
    tinectl = Path(binary()).parent / "tinectl"
    text = subprocess.run([tinectl, "-s", s.dir / "control.sock", "metrics"], capture_output=True, text=True, check=True).stdout
    found = re.search(rf'^tine_route_blocking_steps_total{{route="{route}"}} (\d+)$', text, re.M)
    return int(found.group(1)) if found else 0


HELD = r'\[WARNING\] the event loop has been held for \d+ ms \(app.blocking_warning\) by "GET /{0}"; its stack:\n(  File .*\n)+'


@pytest.mark.parametrize("interpreter", ["sub", "main"])
def test_a_step_that_blocks_is_told_with_its_stack(interpreter):
    with watched(config={"app": {"interpreter": interpreter}}) as s:
        assert s.get("/sleep?s=0.6&secret=1").body == b"slept"
        found = s.wait_log(HELD.format("sleep"))
        assert re.search(r'File ".*hangs\.py", line \d+ in sleep\n', found.group())
        assert "most recent call first" not in found.group()
        s.wait_log(r'\[WARNING\] the event loop was held for \d+ ms by "GET /sleep"$')
        wait_for(lambda: blocked(s, "GET /sleep") == 1, what="the count")


@pytest.mark.parametrize("how", ["calls" if under_tsan() else "python", "native"])
def test_it_is_told_while_it_lasts(how):
    """Also while native code holds the GIL: nothing in these ends by itself."""
    with watched(config={"server": {"timeout": "3s"}}, respawn=True) as s, s.connect() as c:
        c.send_request("GET", f"/{how}")
        found = s.wait_log(HELD.format(how))
        assert f" in {how}\n" in found.group() and "gave no sign of life" not in s.log()[:s.log().index(found.group())]
        s.wait_log(r"\(pid \d+\) was killed by SIGKILL")


def test_later_steps_and_tasks_of_a_request_are_told():
    with watched() as s:
        assert s.get("/later").body == b"later"
        found = s.wait_log(HELD.format("later"))
        assert " in later\n" in found.group()
        assert s.get("/task").body == b"done"
        found = s.wait_log(r"by a task or callback of the application; its stack:\n(  File .*\n)+")
        assert " in block\n" in found.group()
        wait_for(lambda: blocked(s, "no request") >= 1, what="the count")


def test_an_answer_inside_the_step_does_not_hide_it():
    with watched() as s:
        assert s.get("/after").body == b"sent"
        s.wait_log(HELD.format("after"))


def test_an_inline_wsgi_application_is_told():
    with watched(app="apps.wsgi_blocks:app", config={"app": {"threads": 1, "interface": "wsgi"}}) as s:
        assert s.get("/report/12345/x?y").body == b"slept"
        found = s.wait_log(r'by "GET /report/12345/x"; its stack:\n(  File .*\n)+')
        assert " in app\n" in found.group()
        wait_for(lambda: blocked(s, "GET /report/:id/x") == 1, what="the count")


def test_reports_are_limited_and_all_are_counted():
    with watched("30ms") as s, s.connect() as c:
        for _ in range(12):
            assert c.request("GET", "/sleep?s=0.1").body == b"slept"
        wait_for(lambda: blocked(s, "GET /sleep") == 12, what="the counts")
        assert 1 <= s.log().count("its stack:") < 12


def test_a_request_that_only_waits_is_not_told():
    with watched("2s") as s:
        assert s.get("/waits?s=2.5").body == b"waited"
        assert "event loop" not in s.log()
