# SPDX-License-Identifier: BSD-3-Clause
"""Orders and questions of tinectl about one worker or at run time: restart, pause, resume, loglevel, tasks; what a mistyped word and a
reload are answered; control.group."""

import grp
import os
import re
import signal
import stat
import subprocess

import pytest

from lib.procfs import freeze
from lib.waiting import DEADLINE, wait_for
from process.test_control import TINECTL, ask, path_of, server, tinectl

TASKS = """
import asyncio

async def inner(event):
    await event.wait()

async def poller():
    await asyncio.sleep(1000)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        app.poller = asyncio.create_task(poller(), name="poller")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        app.poller.cancel()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/held":
        await inner(app.event)
    if scope["path"] == "/child":
        await asyncio.create_task(inner(app.event), name="the child")
    if scope["path"] == "/release":
        app.event.set()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})

app.event = asyncio.Event()
"""


def test_tasks(tmp_path):
    (tmp_path / "tasking.py").write_text(TASKS)
    with server("tasking:app", {"app": {"pythonpath": tmp_path}}) as s, s.connect() as a, s.connect() as b:
        a.send_request("GET", "/held?secret=1")
        b.send_request("GET", "/child")

        def text():
            return ask(s, "tasks")["tasks"][0]["text"]
        wait_for(lambda: "the child" in text() and "/held" in text(), what="both requests among the tasks")
        said = text()
        assert re.search(r"Task-\d+ \(GET /held\): waits for a Future\n"
                         r"    \S+/tasking.py:\d+ in app\n    \S+/tasking.py:\d+ in inner\n    \S+locks.py:\d+ in (Event\.)?wait\n", said), said
        assert re.search(r"Task-\d+ \(GET /child\): waits for the child\n    \S+/tasking.py:\d+ in app\n", said), said
        assert re.search(r"poller: waits for a Future\n    \S+tasking.py:\d+ in poller\n", said), said
        assert "secret" not in said
        shown = tinectl(s, "tasks", str(s.workers()[0]))
        assert shown.startswith(f"worker 1 (pid {s.workers()[0]})\n") and "GET /held" in shown
        assert s.get("/release").status == 200
        assert [c.read_response().status for c in (a, b)] == [200, 200]
        assert "/held" not in text()


def test_tasks_where_there_are_none():
    with server("builtin:hello") as s:
        assert ask(s, "tasks")["tasks"][0]["text"] is None
        assert "runs no Python" in tinectl(s, "tasks")
        assert "no worker has this process id" in tinectl(s, "tasks", "1", status=1)


def test_restart_pause_resume_and_level():
    with server(config={"server": {"workers": 2}}) as s:
        wait_for(lambda: ask(s, "status")["workers_ready"] == 2, what="two workers")
        first, second = (w["pid"] for w in ask(s, "workers")["workers"])
        assert tinectl(s, "restart", "2") == f"worker 2 (pid {second}) is being replaced\n"
        wait_for(lambda: len(s.workers()) == 2 and second not in s.workers(), what="another worker 2")
        assert first in s.workers() and s.get("/").status == 200
        assert "no worker that is ready has this number" in tinectl(s, "restart", "9", status=1)

        assert "paused" in tinectl(s, "pause")
        wait_for(lambda: not s.workers(), what="the end of the workers")
        assert ask(s, "status")["paused"] and "paused" in tinectl(s, "status")
        assert "paused already" in tinectl(s, "pause", status=1)
        with s.connect() as waits:
            waits.send_request("GET", "/")
            assert tinectl(s, "resume") == "resumed\n"
            assert waits.read_response().status == 200
        assert not ask(s, "status")["paused"] and "not paused" in tinectl(s, "resume", status=1)
        wait_for(lambda: len(s.workers()) == 2, what="two workers")

        assert ask(s, "loglevel", "debug") == {"ok": True, "level": "DEBUG", "before": "INFO"}
        mark = s.log_mark()

        def refused():
            with s.connect() as c:
                c.send(b"GET / HTTP/1.1\r\n\r\n")
                c.read_response()
            return s.log()[mark:].count("[DEBUG]") > 0
        wait_for(refused, what="a worker that logs at level debug")
        os.kill(s.workers()[0], signal.SIGKILL)
        assert tinectl(s, "loglevel", "error") == "level: ERROR, before: DEBUG\n"
        wait_for(lambda: len(s.workers()) == 2, what="two workers")
        tinectl(s, "reload")
        assert ask(s, "loglevel", "info")["before"] == "INFO", "a reload takes the configuration's level"
        assert "must be debug, info" in tinectl(s, "loglevel", "loud", status=1)


def test_what_was_meant(tmp_path):
    def said(*words):
        done = subprocess.run([TINECTL, *words], cwd=tmp_path, capture_output=True, text=True, timeout=3 * DEADLINE)
        assert done.returncode == 1
        return done.stderr
    for word, meant in (("relaod", "reload"), ("stat", "status"), ("worker", "workers"), ("restrat", "restart"), ("log-level", "loglevel")):
        assert said(word) == f"tinectl: {word}: unknown command; did you mean \"{meant}\"?\n"
    assert said("frobnicate") == "tinectl: frobnicate: unknown command\nTry tinectl --help.\n"
    assert "this command needs an argument" in said("restart")


def test_a_reload_names_what_needs_a_restart():
    with server() as s:
        assert "restart" not in ask(s, "reload")
        ini = s.dir / "tine.ini"
        ini.write_text(ini.read_text().replace("[server]\n", "[server]\nbacklog = 64\nproc_name = other\n"))
        assert ask(s, "reload")["restart"] == ["server.backlog", "server.proc_name"]
        assert tinectl(s, "reload") == "reloaded: generation 4 serves with 1 worker\na restart is needed for server.backlog, server.proc_name\n"


def test_a_silent_worker_is_not_ready():
    """Its loop is blocked for longer than 3 s, and server.timeout is far."""
    with server(config={"server": {"timeout": "10m"}}) as s:
        freeze(s.workers()[0])
        try:
            wait_for(lambda: ask(s, "workers")["workers"][0]["state"] == "silent", what="the state silent")
            assert "silent" in tinectl(s, "workers")
        finally:
            os.kill(s.workers()[0], signal.SIGCONT)
        wait_for(lambda: ask(s, "workers")["workers"][0]["state"] == "ready", what="the state ready")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_group():
    """Its members may speak, by their first group or another; others may not, whatever the mode is."""
    name, gid = "games", grp.getgrnam("games").gr_gid
    code = "import os,socket,sys\ngid, extra = int(sys.argv[1]), int(sys.argv[2])\nos.setgroups([extra])\nos.setgid(gid)\nos.setuid(65534)\n" \
           "s = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[3])\n" \
           "try:\n    s.sendall(b'status\\n')\nexcept BrokenPipeError:\n    pass\nprint(s.recv(9999).decode())\n"
    with server(config={"control": {"mode": "0666", "group": name}}, allow=("[CRITICAL]",)) as s:
        os.chmod(s.dir, 0o711)
        assert os.stat(path_of(s)).st_gid == gid

        def answer(first, extra):
            return subprocess.run(["/usr/bin/python3", "-c", code, str(first), str(extra), path_of(s)], capture_output=True, text=True, timeout=3 * DEADLINE).stdout
        assert '"ok":true' in answer(gid, 65534) and '"ok":true' in answer(65534, gid)
        assert "control.group may use" in answer(65534, 65534)
        ini = s.dir / "tine.ini"
        ini.write_text(ini.read_text().replace(f"group = {name}\n", "").replace("mode = 0666", "mode = 0660"))
        tinectl(s, "reload")
        after = os.stat(path_of(s))
        assert after.st_gid == os.getegid() and stat.S_IMODE(after.st_mode) == 0o660
        ini.write_text(ini.read_text().replace("[control]", "[control]\ngroup = no-such-group"))
        assert "no group is called no-such-group" in tinectl(s, "reload", status=1)
