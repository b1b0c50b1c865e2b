# SPDX-License-Identifier: BSD-3-Clause
"""Debuggers, profilers and libraries that patch Python's threads, as the manual has them (tine(8), "Debuggers and profilers"): in each
interpreter, under ASGI and WSGI.

In a virtual environment named by TINE_TEST_VENV (.ci/run makes it); what is not in it is skipped.
"""

import os
import re
import shutil
import subprocess
import tty
from pathlib import Path

import pytest

from lib.load import Load
from lib.server import Server
from lib.waiting import wait_for

VENV = os.environ.get("TINE_TEST_VENV")
pytestmark = pytest.mark.skipif(not VENV, reason="TINE_TEST_VENV is not set")

MODES = {"sub": {"interpreter": "sub"}, "main": {"interpreter": "main"}, "preload": {"preload_app": "true"}, "auto": {}}
HEAD = """
import threading
waiting, go_on = threading.Event(), threading.Event()

def waits_here():
    waiting.set()
    go_on.wait()

def allocates_here():
    return (b"done" * 1000000)[:4]

def at(path):
    if path == "/break":
        secret = 6 * 7
        breakpoint()
    if path == "/wait":
        waits_here()
    if path == "/sleep":
        import time
        time.sleep(0.01)
    if path == "/program":
        import subprocess
        return subprocess.run(["echo", "-n", "done"], stdout=subprocess.PIPE, check=True).stdout
    if path.startswith("/memray/"):
        import memray
        with memray.Tracker(path[7:]):
            return allocates_here()
    if path == "/go":
        waiting.wait()
        go_on.set()
    return b"done"
"""
APPS = {
    "asgi": HEAD + """
import asyncio

async def app(scope, receive, send):
    body = await asyncio.to_thread(at, scope["path"]) if scope["path"] == "/wait" else at(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
""",
    "wsgi": HEAD + """
def app(environ, start_response):
    body = at(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
""",
}


def program(name):
    path = Path(VENV) / "bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not in {VENV}")
    return str(path)


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture(params=APPS)
def app(request):
    return request.param


class Debugged(Server):
    """One worker in the foreground of a terminal, which `terminal` is the other end of; before: code of the application."""

    def __init__(self, folder, app, mode, before="", more=()):
        (folder / "debugged_app.py").write_text(before + APPS[app])
        super().__init__("debugged_app:app", {"server": {"timeout": 0}, "app": {"venv": VENV, "pythonpath": folder, **MODES[mode], **dict(more)}},
                         cwd=folder, env={"VIRTUAL_ENV": VENV}, respawn=True, deadline=120)
        self.terminal, self.stdin = os.openpty()
        tty.setraw(self.stdin)

    def cleanup(self):
        os.close(self.terminal)
        os.close(self.stdin)
        super().cleanup()

    def types(self, line):
        os.write(self.terminal, line.encode() + b"\n")

    def says(self, text):
        wait_for(lambda: text in self.stdout(), self.deadline, f"{text!r} from the debugger, which says {self.stdout()!r}")


def test_breakpoint(tmp_path, app, mode):
    """The debugger reads from the terminal that the server was started in."""
    with Debugged(tmp_path, app, mode) as s, s.connect() as c:
        c.send_request("GET", "/break")
        s.says("(Pdb) ")
        s.types("p 'it is %d' % secret")
        s.says("it is 42")
        s.types("continue")
        assert c.read_response().body == b"done"


def test_py_spy_sees_the_application(tmp_path, app, mode):
    """Its threads too; of the worker's process id."""
    py_spy = program("py-spy")
    with Debugged(tmp_path, app, mode) as s, s.connect() as c:
        c.send_request("GET", "/wait")
        dumped = wait_for(lambda: "waits_here" in dump(py_spy, s.workers()[0]) and dump(py_spy, s.workers()[0]), s.deadline, "its stack")
        assert re.search(r"^ +waits_here \(.*debugged_app\.py:\d+\)$", dumped, re.M)
        assert s.get("/go").body == b"done" and c.read_response().body == b"done"


def dump(py_spy, pid):
    done = subprocess.run([py_spy, "dump", "--pid", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.stdout


PEAK = """
import memray, sys
for record in memray.FileReader(sys.argv[1]).get_high_watermark_allocation_records(merge_threads=True):
    if record.size >= 4000000:
        print(record.stack_trace(1)[0][0])
"""


def test_memray_in_the_application(tmp_path, app, mode):
    program("memray")
    with Debugged(tmp_path, app, mode) as s:
        assert s.get(f"/memray/{tmp_path}/peak").body == b"done"
    shown = subprocess.run([program("python3"), "-c", PEAK, tmp_path / "peak"], stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    assert shown.stdout == "allocates_here\n"


@pytest.mark.parametrize("mode", ["main", "preload"], indirect=True)
def test_memray_attaches_to_the_main_interpreter(tmp_path, app, mode):
    """Its thread runs in the main interpreter, and begins when the worker allocates: there have to be requests."""
    memray = program("memray")
    if not shutil.which("gdb"):
        pytest.skip("there is no gdb")
    with Debugged(tmp_path, app, mode) as s, Load(s.address, clients=1):
        worker, = s.workers()
        for words in ["attach", "-o", str(tmp_path / "peak")], ["detach"]:
            done = subprocess.run([memray, *words, str(worker)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=s.deadline)
            assert done.returncode == 0, done.stdout
        assert s.workers() == [worker]
    assert (tmp_path / "peak").stat().st_size > 0


@pytest.mark.parametrize("threads", [1, 4])
def test_an_application_that_patches_itself_for_gevent(tmp_path, app, mode, threads):
    """threading.get_ident() is another number then, for Python, than C code sees. Its subprocess forks, in the thread of its first loop
    alone: in the main interpreter, where requests run in the thread that has imported it."""
    if not list(Path(VENV).glob("lib/python3.*/site-packages/gevent/__init__.py")):
        pytest.skip(f"gevent is not in {VENV}")
    before = "from gevent import monkey\nmonkey.patch_all()\nimport asyncio\n"
    forks = MODES[mode] in (MODES["main"], MODES["preload"]) and (app == "asgi" or threads == 1)
    with Debugged(tmp_path, app, mode, before, {"threads": threads}) as s:
        for path in ["/", "/sleep", *["/program"][:forks]] * 3:
            assert s.get(path).body == b"done", path
        assert "Traceback" not in s.log()
