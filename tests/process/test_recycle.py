# SPDX-License-Identifier: BSD-3-Clause
"""Workers that are replaced after requests, time or memory: the replacement first, one at a time, no request lost."""

import os
import signal

import pytest

from lib.load import Load
from lib.procfs import sanitized
from lib.server import Server
from lib.waiting import wait_for


def server(app="hangs", workers=2, **keys):
    return Server(app, {"server": dict({"workers": workers}, **keys)}, respawn=True)



@pytest.mark.parametrize("per_connection", [1, 20, 10**9])
def test_max_requests_under_load(per_connection):
    with server(max_requests=200, max_requests_jitter=50) as s:
        with Load(s.address, per_connection=per_connection, path="/pid") as load:
            wait_for(lambda: s.log().count("exited with status 0") >= 6, what="six workers to be replaced")
        assert load.failed == {}
        assert len(load.bodies) >= 6
        s.wait_log(r"is to be replaced: 2\d\d requests? answered \(server.max_requests\)")


def test_the_replacement_is_ready_first_and_one_at_a_time():
    with server(max_requests=100, workers=4) as s:
        s.wait_notified(lambda text: "STATUS=4 of 4" in text)
        with Load(s.address, path="/pid") as load:
            wait_for(lambda: s.log().count("exited with status 0") >= 8, what="eight workers to be replaced")
        assert load.failed == {}
        serving = 0
        for line in s.log().splitlines():
            serving += " is ready" in line
            if " exited with status 0" in line:
                serving -= 1
                assert serving >= 4, "an old one ended before its replacement was ready"
            assert serving <= 7, "they are replaced one at a time; a few may still drain"


def test_jitter_spreads():
    with server(max_requests=100, max_requests_jitter=1000000, workers=2) as s:
        with Load(s.address, path="/pid") as load:
            load.more(400)
        assert s.log().count("is to be replaced") < 2


def test_max_worker_lifetime():
    with server(max_worker_lifetime="1s", workers=3) as s:
        before = s.workers()
        with Load(s.address, per_connection=20, path="/pid") as load:
            wait_for(lambda: not set(before) & set(s.workers()) and len(s.workers()) >= 3, what="three new workers")
            load.more()
        assert load.failed == {}
        s.wait_log(r"is to be replaced: it has served for .* s \(server.max_worker_lifetime\)")


def test_max_worker_memory():
    with server(max_worker_memory="150m", workers=1) as s:
        [pid] = s.workers()
        if sanitized(pid):
            pytest.skip("the sanitizer's own memory is larger")
        s.get("/grow?n=1000000")
        assert int(s.get("/pid").body) == pid
        s.get("/grow?n=200000000")
        s.wait_log(rf"\(pid {pid}\) is to be replaced: it has \d+ MB \(server.max_worker_memory is 150 MB\)")
        wait_for(lambda: len(s.workers()) == 1 and s.workers() != [pid], what="the new worker alone")
        assert int(s.get("/pid").body) != pid


def memory_of_the_machine():
    """What a group of ours may have is not looked at: where it has less the test would compare with the wrong number."""
    groups = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    limits = [int(text) for path in groups if os.path.exists(path) and (text := open(path).read().strip()).isdigit()]
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *limits])


def test_max_worker_memory_as_a_share():
    """1% of all memory, of which each worker has its part: as many workers as make that about 120 MB."""
    percent = memory_of_the_machine() // 100
    workers = max(1, percent // (120 << 20))
    if percent // workers > 400 << 20 or workers > 4 or percent < 100 << 20:
        pytest.skip("1% of this machine's memory is not to be played with")
    with server(max_worker_memory="1%", workers=workers) as s:
        if any(sanitized(pid) for pid in s.workers()):
            pytest.skip("the sanitizer's own memory is larger")
        limit = percent // workers
        pid = int(s.get(f"/grow?n={limit}").body)
        s.wait_log(rf"\(pid {pid}\) is to be replaced: it has \d+ MB \(server.max_worker_memory is {limit >> 20} MB\)")
        wait_for(lambda: pid not in s.workers(), what="its replacement")


def test_a_replacement_that_fails_leaves_the_old_one_serving(tmp_path):
    module = tmp_path / "site_app.py"
    text = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
    module.write_text(text)
    config = {"server": {"max_requests": 50}, "app": {"pythonpath": tmp_path}}
    with Server("site_app:app", config, respawn=True, allow=("Traceback",)) as s:
        [pid] = s.workers()
        module.write_text("raise RuntimeError('broken meanwhile')\n")
        with Load(s.address) as load:
            wait_for(lambda: s.log().count("broken meanwhile") >= 2, what="two tries")
            load.more()
            assert pid in s.workers()
            module.write_text(text)
            wait_for(lambda: len(s.workers()) == 1 and s.workers() != [pid], what="the new worker alone")
        assert load.failed == {}


def test_reload_and_recycling_at_once():
    with server(max_requests=100) as s, Load(s.address, per_connection=20, path="/pid") as load:
        for _ in range(5):
            load.more()
            mark = s.log_mark()
            s.signal(signal.SIGHUP)
            s.wait_log("reloaded: generation", mark)
        s.write_config({"server": {"max_requests": 0}})
        s.signal(signal.SIGHUP)
        load.more(500)
        wait_for(lambda: len(s.workers()) == 2, what="two workers")
        load.stop()
        assert load.failed == {}


def test_drain_delay_accepts_after_term():
    with server("hello", drain_delay="2s") as s, Load(s.address, rate=None) as load:
        load.more()
        s.signal(signal.SIGTERM)
        s.wait_log("accepting for another 2 s")
        s.wait_notified(lambda text: "STOPPING=1" in text)
        load.more(200)
        s.wait_log("drain_delay has passed")
        load.stop()


def test_a_second_term_ends_the_drain_delay():
    with server("hello", drain_delay="1h") as s:
        s.signal(signal.SIGTERM)
        s.wait_log("accepting for another 3600 s")
        s.signal_until(signal.SIGTERM, "second stop request")
        assert s.wait_exit() == 0
