# SPDX-License-Identifier: BSD-3-Clause
"""app.request_timeout: requests that keep a thread of a WSGI application are answered (504: RFC 9110 15.6.5) and reported, and the
worker that has lost the thread is replaced, its replacement first; who asks for readiness hears when nobody can take a request."""

import contextlib
import os
import re
import signal
import subprocess

import pytest

from lib.build import binary
from lib.h2 import H2
from lib.places import rest
from lib.procfs import freeze
from lib.waiting import wait_for
from lib.watched import Watched

FOREVER = "1h"  # who waits for this is killed by the test's deadline


def stuck(threads=2, http=None, app=None, **options):
    config = {"app": {"threads": threads, "request_timeout": "300ms", **(app or {})}, "http": http or {},
              "server": {"graceful_timeout": FOREVER}}
    return Watched(options.pop("module", "apps.wsgi_stuck:app"), config, respawn=True, **options)


def hang(s, n):
    c = s.connect()
    c.send_request("GET", f"/hangs?{n}")
    s.wait_event(hangs=str(n))
    return c


@contextlib.contextmanager
def gate(path):
    """No new worker gets ready meanwhile."""
    path.write_text("")
    try:
        yield
    finally:
        path.unlink()


@pytest.fixture
def gated(tmp_path):
    """A server and the gate of its workers."""
    return {"env": {"TINE_TEST_GATE": str(tmp_path / "gate")}}, tmp_path / "gate"


@pytest.mark.parametrize("limit", [{"request_timeout": "300ms"}, *rest({"request_timeout": "0"})])
def test_a_worker_with_lost_threads_is_replaced(limit):
    """Also where the limit is that of all requests."""
    name = "app" if limit["request_timeout"] != "0" else "http"
    with stuck(app=limit, http={} if name == "app" else {"request_timeout": "300ms"}) as s:
        [pid] = s.workers()
        held = [hang(s, n) for n in range(2)]
        for c in held:
            answer = c.read_response()
            assert answer.status == 504 and answer.closes
            c.close()
        s.wait_log(rf'\[ERROR\] a thread is lost to a request that has kept it for \d+\.\d s \({name}.request_timeout\): '
                   r'"GET /hangs\?1 HTTP/1.1" from 127.0.0.1:\d+; its stack:\n(  .*\n)+?  File ".*wsgi_stuck.py", line \d+, in hangs\n')
        s.wait_log(rf'worker 1 \(pid {pid}\) is to be replaced: it has lost a thread \({name}.request_timeout\) to "GET /hangs')
        wait_for(lambda: s.workers() and pid not in s.workers(), what="the end of the worker, which waits for no lost thread")
        assert int(s.get("/pid").body) != pid
        assert s.figure("tine_wsgi_requests_overdue_total") == 2 and s.figure("tine_wsgi_threads_lost") == 0
        assert "killing it" not in s.log()


def test_others_stand_in_for_lost_threads_and_then_nobody_accepts(gated):
    options, path = gated
    with stuck(**options) as s:
        pid = int(s.get("/pid").body)
        with gate(path):
            held = [hang(s, n) for n in range(2)]
            assert [c.read_response().status for c in held] == [504, 504]
            assert int(s.get("/pid").body) == pid, "the service stops at the limit of its threads"
            assert s.figure("tine_wsgi_threads_lost") == s.figure("tine_wsgi_threads_busy") == s.figure("tine_wsgi_threads") == 2
            assert s.ask("status")["ready"], "others stand in"
            held += [hang(s, n) for n in range(2, 4)]
            assert [c.read_response().status for c in held[2:]] == [504, 504]
            wait_for(lambda: s.ask("status")["not_ready_because"], what="the service to be unready")
            assert s.ask("status")["not_ready_because"].startswith("no worker can take a request")
            assert s.figure("tine_workers_stalled") == 1 and s.ask("workers")["workers"][0]["state"] == "stuck"
            shown = subprocess.run([os.path.join(os.path.dirname(binary()), "tinectl"), "workers"], cwd=s.dir, stdout=subprocess.PIPE, text=True).stdout
            assert re.search(r" stuck\*? .* (\d)/\d, \1 stuck ", shown), shown
            waits = s.connect()
            waits.send_request("GET", "/pid")
            waits.expect_no_more()
        assert int(waits.read_response().body) != pid, "the replacement takes what waits"
        assert s.ask("status")["ready"]


def test_one_thread_stays_one(gated):
    """An application that is not thread-safe: nobody stands in; what waits for its turn gets 503 when the replacement serves."""
    options, path = gated
    with stuck(threads=1, **options) as s:
        waits = s.connect()
        pid = int(waits.request("GET", "/pid").body)
        with gate(path):
            held = hang(s, 0)
            waits.send_request("GET", "/pid")
            assert held.read_response().status == 504
            waits.expect_no_more()
        answer = waits.read_response()
        assert answer.status == 503 and answer.closes and answer.get("retry-after") == "1"
        assert int(s.get("/pid").body) != pid


def test_a_thread_that_comes_back(gated):
    options, path = gated
    with stuck(threads=1, **options) as s:
        waits = s.connect()
        pid = waits.request("GET", "/pid").body
        with gate(path):
            held = hang(s, 0)
            assert held.read_response().status == 504
            waits.send_request("GET", "/pid")
            waits.expect_no_more()
            path.with_suffix(".open").write_text("")
            s.wait_log(r'the thread that was lost to "GET /hangs\?0 HTTP/1.1" from 127.0.0.1:\d+ has come back')
            assert waits.read_response().body == pid
            assert s.get("/pid").body == pid, "it accepts again"
            assert s.ask("status")["ready"] and s.figure("tine_wsgi_threads_lost") == 0


def test_the_end_of_the_service_waits_for_no_lost_thread(gated):
    options, path = gated
    with stuck(**options) as s, gate(path):
        held = hang(s, 0)
        assert held.read_response().status == 504
        s.signal(signal.SIGTERM)
        assert s.wait_exit() == 0


def test_a_stream_that_stops_is_cut(gated):
    with stuck(module="apps.wsgi_stuck:stream") as s, s.connect() as c:
        c.send_request("GET", "/")
        s.wait_event(hangs="stream")
        s.wait_log('a thread is lost .* "GET / HTTP/1.1"')
        assert b"word" in c.read_to_end() and not c.buffer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("over", rest("h2c"))
def test_over_http2(over):
    with stuck(flags=over) as s, H2(s.connect()) as h:
        stream = h.request("GET", "/hangs?h2")
        assert h.answer(stream).status == 504
        other = h.request("GET", "/pid")
        assert h.answer(other).status == 200
        h.conn.close()


def test_a_blocked_loop_takes_no_request():
    with Watched("hangs", {"server": {"timeout": FOREVER}}, respawn=True) as s:
        [pid] = s.workers()
        assert s.ask("status")["ready"]
        freeze(pid)
        wait_for(lambda: not s.ask("status")["ready"], what="the service to be unready")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: s.ask("status")["ready"], what="the service to be ready again")
