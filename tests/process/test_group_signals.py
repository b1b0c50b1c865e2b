# SPDX-License-Identifier: BSD-3-Clause
"""Signals to the whole process group, as a terminal, timeout(1), foreman and supervisors send them; masters born with blocked or
ignored signals; and how fast a Ctrl-C ends what does not want to end."""

import os
import re
import signal

import pytest

from lib.places import rest
from lib.procfs import children_of, freeze, name_of, processes_of_session
from lib.server import Server
from lib.waiting import wait_for

STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]
WAYS = {"plain": {}, "preload": {"preload_app": True, "interpreter": "main"}}


def starts(server):
    return len(re.findall(r"worker \d+ \(pid \d+\) started", server.log()))


# --- the whole group ---

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sig", [STOPS[0], STOPS[1], *rest(STOPS[2])])
def test_a_stop_of_the_whole_group_starts_no_worker(sig, way):
    with Server("hello", {"server": {"workers": 3}, "app": WAYS[way]}, respawn=True) as server:
        wait_for(lambda: server.log().count("is ready") == 3, what="three workers")
        server.ending = True
        os.killpg(server.pid, sig)
        assert server.wait_exit() == 0
        assert starts(server) == 3, "a worker was replaced while the service stopped"
        assert "[ERROR]" not in server.log() and "to be replaced" not in server.log()


def test_the_group_keeps_serving_for_drain_delay():
    """Workers that stopped by themselves would leave connections waiting, and be replaced."""
    with Server("hello", {"server": {"workers": 2, "drain_delay": "1s"}}, respawn=True) as server:
        wait_for(lambda: server.log().count("is ready") == 2, what="two workers")
        server.ending = True
        os.killpg(server.pid, signal.SIGTERM)
        server.wait_log("accepting for another 1 s")
        assert server.get("/").status == 200
        assert server.wait_exit() == 0
        assert starts(server) == 2


LOADS = """
import os, pathlib, select
pathlib.Path(__file__).with_suffix(".loading").touch()
r, w = os.pipe()
select.select([r], [], [])
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sig", [STOPS[0], STOPS[1], *rest(STOPS[2])])
def test_a_stop_of_the_whole_group_while_the_application_loads_is_no_failure(tmp_path, sig, way):
    (tmp_path / "slow.py").write_text(LOADS)
    server = Server("slow:app", {"app": {"pythonpath": tmp_path, **WAYS[way]}})
    try:
        server.start()
        wait_for((tmp_path / "slow.loading").exists, what="the application to load")
        os.killpg(server.pid, sig)
        assert server.wait_exit() == 0
        wait_for(lambda: not processes_of_session(server.pid), what="all processes to end")
        assert "[ERROR]" not in server.log() and "Traceback" not in server.log()
    finally:
        server.kill()
        server.cleanup()


@pytest.mark.parametrize("sig", [STOPS[0], STOPS[1], *rest(STOPS[2])])
def test_a_stop_of_the_whole_group_at_any_moment_of_the_start_is_no_failure(sig):
    """From the fork to READY: the process becomes a Python meanwhile, which has handlers of its own."""
    for n in range(6):
        server = Server("hello", {"server": {"workers": 2}})
        try:
            server.start()
            server.wait_log("worker 1 .* started")
            for _ in range(n * 20):  # somewhat later each time
                os.listdir("/proc")
            os.killpg(server.pid, sig)
            assert server.wait_exit() == 0, server.log()
            assert "[ERROR]" not in server.log() and "Traceback" not in server.log(), server.log()
        finally:
            server.kill()
            server.cleanup()


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_gets_sigterm_alone_is_replaced_before_it_stops(way):
    with Server("hello", {"app": WAYS[way]}, respawn=True) as server:
        [old] = server.workers()
        os.kill(old, signal.SIGTERM)
        server.wait_log(rf"\(pid {old}\) is to be replaced: it got a SIGTERM")
        server.wait_log(rf"\(pid {old}\) exited with status 0")
        text = server.log()
        assert text.rindex("is ready") < text.index(f"(pid {old}) exited")
        assert server.get("/").status == 200


# --- twice ---

STUBBORN = """
import asyncio
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("hook began", flush=True)
        await asyncio.sleep(3600)
"""


def test_a_second_interrupt_ends_at_once(tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    config = {"server": {"shutdown_timeout": "1h", "graceful_timeout": "2h"}, "app": {"pythonpath": tmp_path}}
    with Server("stubborn:app", config) as server:
        server.signal(signal.SIGTERM)
        wait_for(lambda: "hook began" in server.stdout(), what="lifespan shutdown")
        server.signal(signal.SIGINT)
        server.wait_log("second stop request: stopping immediately")
        server.signal_until(signal.SIGINT, "asked to stop once more: killing what is left")
        assert server.wait_exit() == 0


def test_requests_to_stop_that_come_at_once_are_one(tmp_path):
    """timeout(1) signals its child, and then its process group, to which the child belongs. Here both are pending at the same
    time, whatever the machine does meanwhile."""
    (tmp_path / "sync.py").write_text(SYNC)
    with Server("sync:app", {"app": {"pythonpath": tmp_path}}) as server:
        freeze(server.pid)
        server.signal(signal.SIGINT)
        server.signal(signal.SIGQUIT)
        server.process.send_signal(signal.SIGCONT)
        assert server.wait_exit() == 0
        assert "SIGINT: stopping now" in server.log() and "SIGQUIT: stopping now" in server.log()
        assert "killing what is left" not in server.log()
        assert (tmp_path / "hook").exists(), "the application's shutdown was cut"


# --- code that does not let go ---

SYNC = """
import asyncio, atexit, pathlib, time
HERE = pathlib.Path(__file__).parent
atexit.register((HERE / "atexit").touch)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        (HERE / "hook").touch()
        await send({"type": "lifespan.shutdown.complete"})
        return
    (HERE / "entered").touch()
    if scope["path"] == "/loop":
        time.sleep(3600)
    else:
        await asyncio.to_thread(time.sleep, 3600)

def wsgi(environ, start_response):
    (HERE / "entered").touch()
    time.sleep(3600)
"""


def interrupt_in(tmp_path, app, path, keys=()):
    (tmp_path / "sync.py").write_text(SYNC)
    server = Server(f"sync:{app}", {"app": {"pythonpath": tmp_path, **dict(keys)}}, respawn=True)
    with server:
        with server.connect() as c:
            c.send_request("GET", path)
            wait_for((tmp_path / "entered").exists, what="the request")
            server.signal(signal.SIGINT)
            assert server.wait_exit() == 0
            c.read_to_end()
        return server.log()


@pytest.mark.parametrize("app,keys", [("app", {}), ("wsgi", {"threads": 1})])
def test_a_loop_that_is_blocked_does_not_delay_an_interrupt(tmp_path, app, keys):
    log = interrupt_in(tmp_path, app, "/loop", keys)
    assert "did not end in time: killing it" in log


@pytest.mark.parametrize("app,keys", [("app", {}), ("app", {"interpreter": "main"}), ("wsgi", {})])
def test_a_thread_that_is_blocked_delays_neither_hooks_nor_an_interrupt(tmp_path, app, keys):
    log = interrupt_in(tmp_path, app, "/thread", keys)
    assert "killing it" not in log
    assert (tmp_path / "atexit").exists()
    if app == "app":
        assert (tmp_path / "hook").exists()
        assert "threads of the application are still running and are left: asyncio_0" in log


# --- what the parent has left behind ---

def status_field(pid, name):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"^{name}:\t([0-9a-f]+)$", f.read(), re.M).group(1), 16)


def started_with(server, blocked=(), ignored=()):
    """Starts it from a process that has these signals blocked or ignored."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    handlers = {sig: signal.signal(sig, signal.SIG_IGN) for sig in ignored}
    try:
        server.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for sig, handler in handlers.items():
            signal.signal(sig, handler)
    return server.wait_ready()


ALL = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2]


@pytest.mark.parametrize("how", ["blocked", "ignored"])
@pytest.mark.parametrize("way", WAYS)
def test_a_master_hears_signals_that_its_parent_has_blocked_or_ignored(how, way):
    server = Server("hello", {"app": WAYS[way]}, respawn=True)
    try:
        started_with(server, **{how: ALL})
        [worker] = server.workers()
        ours = sum(1 << (sig - 1) for sig in ALL)
        for pid in [server.pid, worker, *server.molds()]:
            assert any(not status_field(f"{pid}/task/{tid}", "SigBlk") & ours for tid in os.listdir(f"/proc/{pid}/task")), pid
        mark = server.log_mark()
        os.kill(worker, signal.SIGKILL)
        server.wait_log(r"is ready", mark)
        mark = server.log_mark()
        server.signal(signal.SIGHUP)
        server.wait_log("reloaded: generation 2 serves", mark)
        server.ending = True
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait_exit() == 0
    finally:
        server.kill()
        server.cleanup()


def test_children_of_the_application_are_born_with_no_signal_blocked(tmp_path):
    """A program that a module starts while it is imported could not be ended otherwise."""
    (tmp_path / "starts.py").write_text(
        "import subprocess\nchild = subprocess.Popen(['sleep', '3600'])\nfrom apps.hello import app\n")
    for way in WAYS.values():
        with Server("starts:app", {"app": {"pythonpath": [tmp_path, os.path.dirname(os.path.dirname(__file__))], **way}}) as server:
            parents = [*server.workers(), *server.molds()]
            # The mold may not have seen the end of who has made the worker.
            [child] = [pid for parent in parents for pid in children_of(parent) if name_of(pid) == "sleep"]
            try:
                assert status_field(child, "SigBlk") == 0
                assert status_field(child, "SigIgn") & (1 << (signal.SIGTERM - 1)) == 0
            finally:
                os.kill(child, signal.SIGKILL)
