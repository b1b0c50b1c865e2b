# SPDX-License-Identifier: BSD-3-Clause
"""app.preload_app: the application is loaded once, in a mold, and the workers are forked from it. Whatever happens to one
of them, the service goes on, and a reload still loads new code."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from lib.build import ROOT, binary
from lib.load import Load
from lib.procfs import freeze, processes_of_session
from lib.server import Server
from lib.waiting import wait_for

SITE = """
import asyncio
import os
import random
import threading
from apps.report import report

VERSION = %r
LOADED_IN = os.getpid()
EXTRA = {}
report(what="load", version=VERSION)
%s

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            report(what=message["type"], version=VERSION)
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        report(what="slow")
        while not os.path.exists(__file__ + ".go"):
            await asyncio.sleep(0.01)
    body = {"/": VERSION, "/pid": f"{LOADED_IN} {os.getpid()}", "/random": str(random.random()),
            "/extra": repr(EXTRA)}.get(scope["path"], VERSION).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%%d" %% len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


class Site:
    def __init__(self, folder):
        self.file = folder / "mold_site.py"
        self.folder = folder
        self.version("one")

    def version(self, name, code=""):
        self.file.write_text(SITE % (name, code))

    def server(self, workers=3, allow=("Traceback",), **config):
        keys = dict({"workers": workers, "boot_timeout": "20s"}, **config.pop("server", {}))
        app = dict({"pythonpath": f"{self.folder}, {ROOT / 'tests'}", "preload_app": "true"}, **config.pop("app", {}))
        return Server("mold_site:app", {"server": keys, "app": app, **config}, respawn=True, allow=allow)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def loads(server, **fields):
    with server.changed:
        return [e for e in server.events if e.get("what") == "load" and all(e.get(k) == v for k, v in fields.items())]


def started(server, n, **fields):
    """Waits until n workers have begun to live; their ids."""
    found = [server.wait_event(what="lifespan.startup", **fields)["pid"] for _ in range(n)]
    assert len(set(found)) == n
    return sorted(found)


def all_ready(server, n):
    wait_for(lambda: len(re.findall(r"worker \d+ \(pid \d+\) is ready", server.log())) >= n, what=f"{n} workers ready")
    return sorted(server.workers())


def serves(server, version):
    wait_for(lambda: server.get("/").body == version, what=f"answers by {version}")


# --- one load for all ---

def test_loaded_once_and_forked(site):
    with site.server() as server:
        workers = started(server, 3)
        [mold] = server.molds()
        assert [e["pid"] for e in loads(server)] == [mold] and mold not in workers
        assert all_ready(server, 3) == workers == sorted(server.workers())
        for _ in range(10):
            loaded_in, runs_in = map(int, server.get("/pid").body.split())
            assert loaded_in == mold and runs_in in workers
        assert "tine: mold" in Path(f"/proc/{mold}/cmdline").read_text()
        titles = {Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0") for pid in workers}
        assert titles == {"tine: worker 1", "tine: worker 2", "tine: worker 3"}


def test_mold_holds_no_connection_and_no_request(site):
    """It has the listening socket, and never accepts: with every worker stopped nobody does."""
    with site.server(workers=1, server={"timeout": "0"}) as server:
        [worker] = started(server, 1)
        freeze(worker)
        with server.connect() as c:
            c.send_request("GET", "/")
            [mold] = server.molds()
            wait_for(lambda: Path(f"/proc/{mold}/status").read_text().count("S (sleeping)"), what="the mold to wait")
            c.expect_no_more()
            os.kill(worker, signal.SIGCONT)
            assert c.read_response().body == b"one"


def test_memory_is_shared(site):
    site.version("one", "EXTRA['ballast'] = os.urandom(1 << 20) * 64")
    with site.server(workers=2) as server:
        for pid in started(server, 2):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            private = sum(int(n) for n in re.findall(r"^Private_\w+:\s+(\d+) kB", rollup, re.M))
            assert private < 48 << 10, rollup


def test_randomness_is_not_shared(site):
    with site.server(workers=3) as server:
        all_ready(server, 3)
        seen = [server.get("/random").body for _ in range(12)]
        assert len(set(seen)) == len(seen)


def test_loop_of_the_load_is_the_loop_that_runs(site):
    """What the modules scheduled and watched happens in each worker, and in none for another."""
    site.version("one", """
loop = asyncio.get_event_loop_policy().get_event_loop()
loop.call_soon(lambda: report(what="soon", same=asyncio.get_running_loop() is loop))
loop.call_later(0.001, lambda: report(what="later"))
loop.call_later(3600, lambda: report(what="never"))
pipe = os.pipe()
loop.add_reader(pipe[0], lambda: (loop.remove_reader(pipe[0]), report(what="readable")))
os.write(pipe[1], b"x")
async def task():
    await asyncio.sleep(0.001)
    report(what="task")
TASK = loop.create_task(task())
""")
    with site.server(workers=2) as server:
        pids = started(server, 2)
        for what in ("soon", "later", "readable", "task"):
            events = [server.wait_event(what=what) for _ in range(2)]
            assert sorted(e["pid"] for e in events) == pids and all(e.get("same", True) for e in events)
        assert not server.has_event(what="never")


def test_threads_of_the_load_are_warned_of(site):
    site.version("one", "threading.Thread(target=threading.Event().wait, name='helper', daemon=True).start()")
    with site.server(workers=1) as server:
        server.wait_log(r"\[WARNING\] 1 thread started .* among them helper: workers do not have them")
        assert server.get("/").body == b"one"


@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi(site, threads):
    site.file.write_text("""
import os
LOADED_IN = os.getpid()
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (LOADED_IN, os.getpid())]
""")
    with site.server(workers=2, app={"threads": threads}) as server:
        all_ready(server, 2)
        with Load(server.address, clients=4) as load:
            load.more(50)
        assert not load.failed
        assert {int(body.split()[0]) for body in load.bodies} == set(server.molds())
        assert {int(body.split()[1]) for body in load.bodies} <= set(server.workers())


def test_mounts(site):
    (site.folder / "other_site.py").write_text(site.file.read_text().replace("'one'", "'other'"))
    with site.server(workers=2, **{"mount:/other": {"module": "other_site:app"}}) as server:
        all_ready(server, 2)
        assert server.get("/").body == b"one" and server.get("/other").body == b"other"
        assert len(loads(server)) == 2


# --- reload ---

def test_reload_loads_new_code_without_a_lost_request(site):
    with site.server(workers=2) as server:
        started(server, 2)
        [before] = server.molds()
        with Load(server.address, per_connection=20) as load:
            load.more()
            site.version("two")
            server.signal(signal.SIGHUP)
            server.wait_log("reloaded: generation 2 serves")
            load.more()
        assert not load.failed and set(load.bodies) == {"one", "two"}
        serves(server, b"two")
        [after] = wait_for(lambda: server.molds() if len(server.molds()) == 1 else None)
        assert after != before and [e["pid"] for e in loads(server, version="two")] == [after]


@pytest.mark.parametrize("code, why", [("raise ValueError('broken')", "ValueError: broken"), ("os._exit(0)", "exited with status 0"),
                                       ("os.kill(os.getpid(), 9)", "killed by SIGKILL")])
def test_reload_rolls_back(site, code, why):
    with site.server(workers=2) as server:
        workers, molds = all_ready(server, 2), server.molds()
        site.version("two", code)
        mark = server.log_mark()
        server.signal(signal.SIGHUP)
        server.wait_log("reload failed: old workers keep serving", mark)
        assert why in server.log()[mark:]
        assert sorted(server.workers()) == workers and server.molds() == molds
        assert server.get("/").body == b"one"
        site.version("three")
        server.signal(signal.SIGHUP)
        serves(server, b"three")


def test_reload_that_takes_too_long(site):
    with site.server(workers=1, server={"boot_timeout": "1s"}) as server:
        site.version("two", "threading.Event().wait()")
        server.signal(signal.SIGHUP)
        server.wait_log(r"mold \(pid \d+\) was not ready after 1 s \(server.boot_timeout\): the stacks")
        server.wait_log("reload failed: old workers keep serving")
        assert server.get("/").body == b"one"


def test_preloading_comes_and_goes_by_reload(site):
    with site.server(workers=2, app={"preload_app": "false"}) as server:
        assert not server.molds()
        for generation, on in ((2, True), (3, False), (4, True)):
            server.write_config({"app": {"preload_app": str(on).lower()}})
            server.signal(signal.SIGHUP)
            server.wait_log(f"reloaded: generation {generation} serves")
            wait_for(lambda: len(server.molds()) == on, what="the right molds")
            assert server.get("/").body == b"one"


def test_storm_of_hups(site):
    with site.server(workers=2) as server:
        with Load(server.address) as load:
            for i in range(12):
                site.version(f"v{i}")
                server.signal(signal.SIGHUP)
                load.more(5)
            wait_for(lambda: server.get("/").body == b"v11" and len(server.molds()) == 1 and len(server.workers()) == 2,
                     what="one generation")
        assert not load.failed


# --- deaths ---

def test_mold_that_dies_is_made_anew(site):
    with site.server(workers=2) as server:
        workers = all_ready(server, 2)
        [mold] = server.molds()
        os.kill(mold, signal.SIGKILL)
        [after] = wait_for(lambda: [m for m in server.molds() if m != mold])
        server.wait_log(rf"mold \(pid {after}\) has loaded the application")
        assert sorted(server.workers()) == workers and server.get("/").body == b"one"
        os.kill(workers[0], signal.SIGKILL)
        wait_for(lambda: len(set(server.workers()) - {workers[0]}) == 2, what="a replacement")
        all_ready(server, 3)


def test_mold_whose_code_has_broken_is_tried_again(site):
    """The workers go on meanwhile; one that dies waits for the mold."""
    with site.server(workers=2) as server:
        workers = all_ready(server, 2)
        site.version("two", "raise ValueError('broken')")
        os.kill(server.molds()[0], signal.SIGKILL)
        server.wait_log(r"ValueError: broken.*the mold starts again")
        os.kill(workers[0], signal.SIGKILL)
        assert server.get("/").body == b"one"
        site.version("three")
        all_ready(server, 3)
        serves(server, b"three")


def test_killed_worker_is_replaced(site):
    with site.server(workers=2) as server:
        for n in range(2, 5):
            workers = all_ready(server, n)
            os.kill(workers[0], signal.SIGKILL)
            server.wait_log(rf"worker \d+ \(pid {workers[0]}\) was killed by SIGKILL")
            wait_for(lambda: len(server.workers()) == 2 and workers[0] not in server.workers(), what="a replacement")
        assert len(loads(server)) == 1


def test_worker_that_hangs(site):
    site.version("one", "import time\nEXTRA['x'] = 1\nif os.path.exists(__file__ + '.hang'): pass")
    with site.server(workers=1, server={"timeout": "1s"}) as server:
        [worker] = started(server, 1)
        all_ready(server, 1)
        os.kill(worker, signal.SIGUSR2)
        server.wait_log(r"stacks of its threads:.*(Current thread|Thread) 0x")
        freeze(worker)
        server.wait_log(rf"worker 1 \(pid {worker}\) was killed by SIGKILL")
        all_ready(server, 2)
        assert server.get("/").body == b"one"


def test_recycling(site):
    with site.server(workers=1, server={"max_requests": "5"}) as server:
        seen = set()

        def another():
            seen.add(server.get("/pid").body.split()[1])
            return len(seen) >= 3
        wait_for(another, what="three workers, one after the other")
        assert len(loads(server)) == 1


def test_more_and_fewer_workers(site):
    with site.server(workers=1) as server:
        all_ready(server, 1)
        server.signal(signal.SIGTTIN)
        all_ready(server, 2)
        server.signal(signal.SIGTTOU)
        wait_for(lambda: len(server.workers()) == 1, what="one worker")
        assert len(server.molds()) == 1


# --- start and end ---

@pytest.mark.parametrize("code, status, why", [
    ("raise ValueError('broken')", 4, "ValueError: broken"), ("os._exit(9)", 3, "exited with status 9")])
def test_boot_that_fails(site, code, status, why):
    site.version("one", code)
    server = site.server()
    server.status = status
    server.start()
    assert server.wait_exit() == status
    assert why in server.log()
    server.stop()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_the_mold_loads(site, sig):
    site.version("one", "threading.Event().wait()")
    server = site.server().start()
    server.wait_event(what="load")
    server.stop(sig)


def test_stop_lets_requests_finish(site):
    with site.server(workers=2) as server:
        started(server, 2)
        with server.connect() as c:
            c.send_request("GET", "/slow")
            server.wait_event(what="slow")
            server.signal(signal.SIGTERM)
            server.wait_log("stopping gracefully")
            wait_for(lambda: not server.molds(), what="the mold's end")
            Path(str(site.file) + ".go").touch()
            assert c.read_response().body == b"one"
        for _ in range(2):
            server.wait_event(what="lifespan.shutdown")


def test_signals_of_a_terminal_leave_the_mold(site):
    """They are sent to the whole group; the master decides."""
    with site.server(workers=1) as server:
        [mold] = server.molds()
        for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            os.kill(mold, sig)
        server.signal(signal.SIGTTIN)
        all_ready(server, 2)
        assert server.molds() == [mold]


def test_nothing_is_left_when_the_master_is_killed(site):
    server = site.server(workers=2)
    server.start().wait_ready()
    all_ready(server, 2)
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    try:
        wait_for(lambda: not processes_of_session(server.pid), what="all processes to end")
    finally:
        server.kill()
        server.cleanup()


def test_log_is_rotated(site, tmp_path):
    log = tmp_path / "rotated.log"
    with site.server(workers=1, log={"errorlog": str(log)}) as server:
        wait_for(lambda: "is ready" in log.read_text())
        log.rename(tmp_path / "old.log")
        server.signal(signal.SIGUSR1)
        wait_for(log.exists)
        server.signal(signal.SIGTTIN)
        wait_for(lambda: re.search(r"worker 2 \(pid \d+\) is ready", log.read_text()), what="the new worker's line")


def test_sub_interpreter_cannot_be_asked_for():
    args = ["-o", "app.preload_app=true", "-o", "app.interpreter=sub", "a:b"]
    r = subprocess.run([binary(), "-t", *args], capture_output=True, text=True, cwd=ROOT / "tests" / "apps")
    assert r.returncode == 1 and "cannot fork a sub-interpreter" in r.stderr
