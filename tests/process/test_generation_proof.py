# SPDX-License-Identifier: BSD-3-Clause
"""A generation is good only when its workers have stayed READY, and alive, for a second: one that ends by itself in it rolls the reload back."""

import os
import re
import signal

import pytest

from lib.load import Load
from lib.site import Site
from lib.waiting import wait_for
from lib.watched import Watched

# Becomes READY, then ends by itself.
DIES = """
import asyncio, os, threading, time

def leave():
    raise SystemExit(5)

def slowly():  # as one whose core is being written: the loop stands, and the process is there for a while
    time.sleep(1.5)
    os._exit(3)

async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        return await serve(scope, receive, send)
    await receive()
    await send({"type": "lifespan.startup.complete"})
    %s
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

async def serve(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"bad"})
"""
ENDS = {
    "a thread calls _exit": "threading.Timer(0.3, os._exit, (0,)).start()",
    "abort": "asyncio.get_running_loop().call_later(0.3, os.abort)",
    "a callback leaves the loop": "asyncio.get_running_loop().call_later(0.3, leave)",
    "it stops itself": "asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), 15)",
    "slowly": "asyncio.get_running_loop().call_later(0.3, slowly)",
    "at once": "asyncio.get_running_loop().call_later(0.01, os._exit, 3)",
}


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def watched(site, app=None, **server):
    return Watched("site_app:app", {"server": {"workers": 2, **server}, "app": {"pythonpath": site.folder, **(app or {})}},
                   respawn=True, allow=("Traceback", "AddressSanitizer", "[CRITICAL]"))


@pytest.mark.parametrize("preload", [False, True], ids=["plain", "preload"])
def test_workers_that_end_right_after_ready_roll_the_reload_back(site, preload):
    """However they do it; what is mended after them takes over."""
    with watched(site, {"preload_app": preload}) as server:
        wait_for(lambda: server.ask("status")["workers_ready"] == 2, what="two workers that have loaded the first version")
        before = sorted(server.workers())
        with Load(server.address, clients=2, per_connection=5) as load:
            for how, end in ENDS.items():
                load.more()
                site.write(DIES % end)
                mark = server.log_mark()
                answer = server.ask("reload")
                assert answer["ok"] is False and re.search(r"worker \d+ \(pid \d+\) .* \d\.\d\d s after it was ready", answer["error"]), (how, answer)
                assert "reload failed: old workers keep serving" in server.log()[mark:], how
                load.more()
                wait_for(lambda: sorted(server.workers()) == before, what="the old workers alone")
                assert "reloaded: generation" not in server.log(), how
            site.version("two")
            assert server.ask("reload")["ok"] is True
            load.more()
        # What the dying workers held is theirs to lose; the old ones refuse and lose nothing.
        assert set(load.failed) <= {"lost", "race"} and set(load.bodies) >= {"one", "two"}, (load.failed, set(load.bodies))
        assert server.get("/").body == b"two"


def test_the_old_generation_serves_until_the_new_one_has_stayed_ready(site):
    """The old workers are not told to stop before the second has passed."""
    with watched(site, workers=1) as server:
        [old] = server.workers()
        site.version("two")
        mark = server.log_mark()
        server.signal(signal.SIGHUP)
        server.wait_log(r"worker \d+ \(pid \d+\) is ready", mark)
        text = server.wait_log(r"(?s)is ready\n(.*?)reloaded: generation 2 serves", mark).group(1)
        assert f"(pid {old})" not in text
        wait_for(lambda: len(server.workers()) == 1 and old not in server.workers(), what="the new worker alone")
        assert server.get("/").body == b"two"


@pytest.mark.parametrize("sig,stops", [("TERM", True), ("HUP", False), ("TTIN", False)])
def test_signals_while_the_new_generation_proves_itself(site, sig, stops):
    with watched(site, workers=1) as server:
        site.version("two")
        mark = server.log_mark()
        server.signal(signal.SIGHUP)
        server.wait_log(r"worker \d+ \(pid \d+\) is ready", mark)
        server.signal(getattr(signal, "SIG" + sig))
        if stops:
            assert server.wait_exit() == 0
            return
        server.wait_log("reloaded: generation 2 serves", mark)
        if sig == "HUP":
            server.wait_log("reloaded: generation 3 serves", mark)
        else:
            wait_for(lambda: server.ask("status")["workers_ready"] == 2, what="two workers")
        assert server.get("/").body == b"two"


def test_a_worker_of_the_first_generation_that_ends_right_after_ready_waits_longer_each_time(site):
    """The service has started by then; the next try is held back, each time longer, and the reason is an ERROR."""
    site.write(DIES % "asyncio.get_running_loop().call_later(0.05, os._exit, 0)")
    with watched(site, workers=1) as server:
        wait_for(lambda: server.log().count("starts again in") >= 5, what="five deaths")
        pauses = [float(p) for p in re.findall(r"starts again in (\S+) s", server.log())][:5]
        assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6], pauses
        assert re.search(r"\[ERROR\] worker 1 starts again in 1.6 s: it has ended within a second of being ready 5 times in a row",
                         server.log())
        assert re.search(r"\[ERROR\] worker 1 \(pid \d+\) exited with status 0 0.\d\d s after it was ready", server.log())
        assert server.figure("tine_worker_early_ends_total") >= 5
        site.version("two")
        assert server.ask("reload")["ok"] is True
        assert server.get("/").body == b"two"


def test_a_worker_that_begins_to_stop_right_after_ready_is_not_replaced_at_once(site):
    """The same for one that drains by itself first."""
    site.write(DIES % "asyncio.get_running_loop().call_later(0.05, leave)")
    with watched(site, workers=1) as server:
        wait_for(lambda: server.log().count("starts again in") >= 4, what="four ends")
        pauses = [float(p) for p in re.findall(r"starts again in (\S+) s", server.log())][:4]
        assert pauses == [0.1, 0.2, 0.4, 0.8], pauses
        assert "began to stop by itself" in server.log()


def test_workers_that_signal_themselves_to_stop_are_not_replaced_for_ever(site):
    site.write(DIES % "asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), 15)")
    with watched(site, workers=1) as server:
        server.wait_log("workers are replaced too often: the next replacement begins in")


# --- limits that are lower than what a worker needs ---

@pytest.mark.parametrize("limit", [{"max_worker_memory": "1m"}, {"max_worker_lifetime": "1ms"}])
def test_a_limit_below_what_a_worker_needs_does_not_restart_workers_for_ever(site, limit):
    with watched(site, workers=1, **limit) as server:
        with Load(server.address, clients=2, per_connection=5) as load:
            server.wait_log("workers are replaced too often: the next replacement begins in 2 s at the earliest")
            load.more()
        assert load.failed == {}
        started = server.log().count(") started")
        assert started <= 4, server.log()
        if "max_worker_memory" in limit:
            assert re.search(r"\[ERROR\] worker 1 \(pid \d+\) is to be replaced: it has \d+ MB \(server.max_worker_memory is 1 MB\), "
                             r"0\.\d s after it was ready, which took \d+\.\d s: a limit is too low", server.log())
        else:
            assert "(server.max_worker_lifetime)" in server.log()
        assert server.figure("tine_worker_recycles_held_back_total") >= 2


def test_max_requests_used_up_at_once_again_and_again_is_held_back(site):
    with watched(site, workers=1, max_requests=1) as server:
        with Load(server.address, clients=2, per_connection=1) as load:
            server.wait_log("workers are replaced too often: the next replacement begins in 1 s at the earliest")
            load.more()
        assert load.failed == {}


def test_a_mold_that_dies_right_after_it_was_ready_waits_longer_each_time(site):
    with watched(site, {"preload_app": True}, workers=1) as server:
        for pause in ("0.1", "0.2", "0.4"):
            mark = server.log_mark()
            [mold] = wait_for(server.molds, what="a mold")
            os.kill(mold, signal.SIGKILL)
            assert server.wait_log(r"the mold starts again in (\S+) s", mark).group(1) == pause
            server.wait_log("has loaded the application", mark)
        assert server.get("/").body == b"one"


