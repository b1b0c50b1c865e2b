# SPDX-License-Identifier: BSD-3-Clause
"""What an application does with event loops while it is imported leaves the server's whole: nothing is said or served before
the application stands, and it is served then as any other."""

import signal

import pytest

from lib.build import ROOT
from lib.client import Conn
from lib.places import rest
from lib.server import Server
from lib.waiting import wait_for

SITE = """
import asyncio, os, threading, time
from apps.report import report

%s

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        report(step="startup", same=asyncio.get_event_loop() is asyncio.get_running_loop())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await asyncio.sleep(0.001)
    value = await asyncio.to_thread(lambda: b"served")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": value})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "6")])
    return [b"served"]
"""

WORK = """
async def work():
    report(step="imported")
    await asyncio.sleep(0.05)
    return 1
"""

CASES = {
    "runs": WORK + "assert asyncio.get_event_loop().run_until_complete(work()) == 1",
    "runs_and_closes": WORK + "loop = asyncio.get_event_loop(); loop.run_until_complete(work()); loop.close()",
    "asyncio_run": WORK + "asyncio.run(work())",
    "new_loop": WORK + "loop = asyncio.new_event_loop(); asyncio.set_event_loop(loop); loop.run_until_complete(work())",
    "new_loop_closed": WORK + "loop = asyncio.new_event_loop(); asyncio.set_event_loop(loop); loop.run_until_complete(work()); loop.close()",
    "no_loop": "asyncio.set_event_loop(None)",
    "policy": WORK + "asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy()); asyncio.run(work())",
    "stopped": "asyncio.get_event_loop().stop()",
    "task_left": WORK + "task = asyncio.get_event_loop().create_task(work())",
    "run_forever": "loop = asyncio.get_event_loop(); loop.call_later(0.05, loop.stop); loop.run_forever()",
    "thread_runs_ours": "loop = asyncio.get_event_loop(); threading.Thread(target=loop.run_forever, daemon=True).start()\n"
                        "assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01, 1), loop).result(10) == 1",
    "thread_runs_another": "loop = asyncio.new_event_loop(); threading.Thread(target=loop.run_forever, daemon=True).start()\n"
                           "assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01, 1), loop).result(10) == 1",
    "thread_later": "loop = asyncio.get_event_loop()\n"
                    "def later():\n"
                    "    while not loop.is_running(): time.sleep(0.001)\n"
                    "    for run in (loop.run_forever, loop.close):\n"
                    "        try: run()\n"
                    "        except RuntimeError as e: report(refused=str(e))\n"
                    "threading.Thread(target=later, daemon=True).start()",
    "nest_asyncio": WORK + "loop = asyncio.get_event_loop()\n"  # what it does to the class of the loop that it finds
                           "if not hasattr(loop, '_nest_patched'): type(loop)._run_once = lambda self: self._selector.select(0)\n"
                           "loop.run_until_complete(work())",
    "exits": WORK + "try: asyncio.get_event_loop().run_until_complete(work()); asyncio.get_event_loop().call_soon(exit); "
                    "asyncio.get_event_loop().run_forever()\nexcept SystemExit: pass",
    "watched": "import socket\na, b = socket.socketpair(); a.setblocking(False)\nseen = []\n"
               "asyncio.get_event_loop().add_reader(a, lambda: (seen.append(a.recv(9)), report(seen=len(seen))))\n"
               "b.send(b'1'); asyncio.get_event_loop().run_until_complete(asyncio.sleep(0.02)); b.send(b'2')",
}

PLACES = [("sub", False, "app"), ("main", False, "app"), ("main", True, "app"), ("sub", False, "wsgi"), ("main", True, "wsgi")]


@pytest.fixture(params=[PLACES[0], PLACES[4], *rest(*([place] for place in PLACES[1:4]))], ids=["sub", "wsgi_mold", "main", "mold", "wsgi_sub"])
def place(request):
    return request.param


def site(folder, code, place):
    interpreter, preload, name = place
    (folder / "importing.py").write_text(SITE % code)
    config = {"server": {"workers": 1}, "app": {"interpreter": interpreter, "preload_app": preload, "pythonpath": f"{folder}, {ROOT / 'tests'}"}}
    return Server(f"importing:{name}", config, allow=("Traceback",), respawn=True)


@pytest.mark.parametrize("case", CASES)
def test_the_application_is_served(tmp_path, place, case):
    s = site(tmp_path, CASES[case], place)
    s.start()
    try:
        with Conn(s.address) as early:  # waits in the queue while the module is imported
            early.send_request("GET", "/early")
            s.wait_ready()
            assert early.read_response().body == b"served"
        assert [s.get("/").body for _ in range(5)] == [b"served"] * 5
        if place[2] == "app":
            assert s.wait_event(step="startup")["same"]
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 2")
        assert s.get("/").body == b"served"
        if case == "watched" and not place[1]:
            assert s.wait_event(seen=2)
        assert "SystemError" not in s.log() and "was killed" not in s.log() and "Traceback" not in s.log()
        s.stop()
    except BaseException:
        s.kill()
        s.dump("test failed")
        s.cleanup()
        raise


def test_others_may_not_run_the_servers_loop(tmp_path):
    with site(tmp_path, CASES["thread_later"], PLACES[0]) as s:
        texts = {s.wait_event(match=lambda e: "refused" in e)["refused"] for _ in range(2)}
        assert any("the server's" in text or "already running" in text for text in texts), texts
        assert any("Cannot close a running event loop" in text for text in texts), texts
        assert s.get("/").body == b"served"


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGQUIT])
def test_stopped_while_the_module_runs_a_loop(tmp_path, place, sig):
    """The worker is told so only when it stands, and ends without having served."""
    code = WORK.replace("0.05", "0.5") + "asyncio.get_event_loop().run_until_complete(work())"
    s = site(tmp_path, code, place)
    s.start()
    try:
        s.wait_event(step="imported")
        s.signal(sig)
        assert s.wait_exit() == 0
        assert not any("READY=1" in text for text in s.notified)
        assert "is ready" not in s.log()
    finally:
        s.stop()


@pytest.mark.parametrize("code, word", [("import sys; sys.exit('no configuration')", "no configuration"), ("raise KeyboardInterrupt", "KeyboardInterrupt"),
                                        ("raise GeneratorExit", "GeneratorExit"),
                                        ("asyncio.get_event_loop().call_soon(exit); asyncio.get_event_loop().run_forever()", "SystemExit")])
def test_an_import_that_wants_the_end_has_failed(tmp_path, place, code, word):
    s = site(tmp_path, code, place)
    s.status, s.allow = 4, {"Traceback", "[CRITICAL]"}
    s.start()
    try:
        assert s.wait_exit() == 4
        assert word in s.log() and "is ready" not in s.log()
    finally:
        s.stop()


def test_a_reload_into_an_import_that_ends_itself_is_rolled_back(tmp_path, place):
    with site(tmp_path, "", place) as s:
        (tmp_path / "importing.py").write_text(SITE % "import sys; sys.exit(1)")
        s.signal(signal.SIGHUP)
        s.wait_log("reload failed|keep serving|go on")
        assert s.get("/").body == b"served"
        wait_for(lambda: len(s.workers()) == 1, what="one worker")
