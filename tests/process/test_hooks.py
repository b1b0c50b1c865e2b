# SPDX-License-Identifier: BSD-3-Clause
"""app.hooks: functions by gunicorn's names, called in workers (docs.gunicorn.org/en/stable/settings.html#server-hooks)."""

import os
import signal

import pytest

from lib.places import rest
from lib.server import Server
from lib.waiting import wait_for

HOOKS = """
import os

def note(*words):
    with open(os.environ["NOTES"], "a") as file:
        file.write(" ".join(map(str, (os.getpid(), *words))) + "\\n")

note("imported")

def post_fork(server, worker):
    note("post_fork", worker.number, worker.pid, server.pid)

def when_ready(server):
    note("when_ready", server.pid)

def worker_exit(server, worker):
    note("worker_exit", worker.pid)

def child_exit(server, worker):
    note("child_exit", worker.number, worker.pid)
    if os.path.exists(os.environ["NOTES"] + ".raise"):
        raise LookupError("a fault of child_exit")

def on_reload(server):
    note("on_reload")
"""


def run(tmp_path, **app):
    (tmp_path / "given_hooks.py").write_text(HOOKS)
    notes = tmp_path / "notes"
    notes.touch()
    config = {"server": {"workers": 2}, "app": {"pythonpath": [str(tmp_path), os.path.join(os.path.dirname(__file__), "..")], **app},
              "control": {"socket": "control.sock"}}
    server = Server("hello", config, env={"NOTES": str(notes)}, respawn=True, allow=("Traceback",))
    return server, lambda: [line.split() for line in notes.read_text().splitlines()]


@pytest.mark.parametrize("app", [{"hooks": "given_hooks"}, {"hooks": "given_hooks", "preload_app": True}, *rest({"hooks": "given_hooks", "interpreter": "main"})])
def test_all_of_them(tmp_path, app):
    """Each where it can run: all in workers, those about others in one worker that serves."""
    server, notes = run(tmp_path, **app)
    with server as s:
        def of(name):
            return [line for line in notes() if line[1] == name]
        wait_for(lambda: len(of("when_ready")) == 2, what="two workers")
        first, second = s.workers()
        assert sorted(map(int, (line[0] for line in of("post_fork")))) == sorted((first, second))
        assert all(line[0] == line[3] and line[2] in "12" and line[4] == str(s.pid) for line in of("post_fork"))
        assert len(of("imported")) == (1 if app.get("preload_app") else 2)
        order = [line[1] for line in notes() if line[0] == str(first)]
        assert order.index("post_fork") < order.index("when_ready")

        os.kill(second, signal.SIGKILL)
        wait_for(lambda: of("child_exit"), what="child_exit")
        (told,) = of("child_exit")
        assert told[3] == str(second) and told[0] != str(second) and not of("worker_exit")
        wait_for(lambda: len(of("when_ready")) == 3, what="another worker")
        before = s.workers()

        s.signal(signal.SIGHUP)
        s.wait_log("generation 2 serves")
        wait_for(lambda: len(of("on_reload")) == 1 and len(of("worker_exit")) == 2 and len(of("child_exit")) == 3, what="the end of the old ones")
        assert int(of("on_reload")[0][0]) not in before
        assert sorted(int(line[0]) for line in of("worker_exit")) == sorted(before)
        assert sorted(int(line[3]) for line in of("child_exit")[1:]) == sorted(before)


def test_a_fault_is_logged_and_the_service_goes_on(tmp_path):
    server, notes = run(tmp_path, hooks="given_hooks.py")
    server.cwd = tmp_path
    (tmp_path / "notes.raise").touch()
    with server as s:
        wait_for(lambda: len(s.workers()) == 2, what="two workers")
        os.kill(s.workers()[0], signal.SIGKILL)
        s.wait_log("The hook child_exit has failed.*LookupError: a fault of child_exit")
        assert s.get("/").status == 200


@pytest.mark.parametrize("hooks,words", [("no_such_hooks", "no module named 'no_such_hooks'"), ("broken_hooks", "ZeroDivisionError"),
                                         ("raising_hooks", "RuntimeError: not today")])
def test_what_cannot_start(tmp_path, hooks, words):
    (tmp_path / "broken_hooks.py").write_text("1 / 0\n")
    (tmp_path / "raising_hooks.py").write_text("def post_fork(server, worker):\n    raise RuntimeError('not today')\n")
    server, _ = run(tmp_path, hooks=hooks)
    server.start()
    try:
        assert server.wait_exit() == 4 and words in server.log()
    finally:
        server.kill()
        server.cleanup()
