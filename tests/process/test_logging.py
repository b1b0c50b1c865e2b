# SPDX-License-Identifier: BSD-3-Clause
"""Python's logging: log.logconfig, and exceptions that nobody handled, for collectors such as Sentry's; and the error log on a
terminal."""

import json
import os
import pty
import signal
import subprocess

import pytest

from lib.build import ROOT, binary
from lib.server import Server
from lib.waiting import wait_for

APP = '''
import logging
collected = logging.getLogger("collected")


class Collector(logging.Handler):
    def emit(self, record):
        collected.warning("collected %s: %r", record.getMessage().split(" from ")[0], record.exc_info[1])


logging.getLogger("tine.error").addHandler(Collector())
logging.getLogger("uvicorn.error").info("through uvicorn")
logging.getLogger("of.mine").info("through mine")


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    raise ValueError("unhandled")


def wsgi(environ, start_response):
    raise ValueError("unhandled")
'''
DICT = {"version": 1, "formatters": {"mine": {"format": "MINE %(name)s %(message)s"}},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "python.log", "formatter": "mine"}},
        "loggers": {"of.mine": {"level": "INFO"}}, "root": {"handlers": ["file"], "level": "WARNING"}}
TOML = '''version = 1
[formatters.mine]
format = "MINE %(name)s %(message)s"
[handlers.file]
class = "logging.FileHandler"
filename = "python.log"
formatter = "mine"
[loggers."of.mine"]
level = "INFO"
[root]
handlers = ["file"]
level = "WARNING"
'''
INI = '''[loggers]
keys = root, mine
[handlers]
keys = file
[formatters]
keys = mine
[logger_root]
level = WARNING
handlers = file
[logger_mine]
qualname = of.mine
level = INFO
handlers =
[handler_file]
class = FileHandler
formatter = mine
args = ("python.log",)
[formatter_mine]
format = MINE %(name)s %(message)s
'''


@pytest.fixture
def site(tmp_path):
    (tmp_path / "logging_app.py").write_text(APP)

    def start(app, config=None, **options):
        return Server(f"logging_app:{app}", {"app": {"pythonpath": tmp_path}, **(config or {})}, allow={"Traceback"}, **options)
    return start


@pytest.mark.parametrize("name,text", [("log.json", json.dumps(DICT)), ("log.toml", TOML), ("log.conf", INI)])
def test_logconfig(site, tmp_path, name, text):
    """It holds for what the application's modules say while they are imported; other servers' loggers are answered still."""
    (tmp_path / name).write_text(text)
    with site("asgi", {"log": {"logconfig": tmp_path / name}}) as s:
        assert s.get("/").status == 500
        s.wait_log(r"\[INFO\] through uvicorn$")
        said = wait_for(lambda: (t := (s.dir / "python.log").read_text()).count("\n") > 5 and t, what="the handler's file")
        assert said.startswith("MINE of.mine through mine\n")
        assert 'MINE tine.error Exception in ASGI application: "GET / HTTP/1.1" from 127.0.0.1:' in said
        assert "ValueError: unhandled" in said


@pytest.mark.parametrize("name,text", [("log.json", "{"), ("log.conf", None)])
def test_a_logconfig_that_is_wrong(site, tmp_path, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
    s = site("asgi", {"log": {"logconfig": tmp_path / name}}, status=3)
    s.start()
    try:
        assert s.wait_exit() in (3, 4)
        assert f"RuntimeError: log.logconfig {tmp_path / name}: " in s.log()
    finally:
        s.kill()
        s.cleanup()


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_exceptions_reach_collectors(site, interface):
    """Once, and nowhere else: the application has configured no handlers of the root logger."""
    with site(interface) as s:
        assert s.get("/?token=hunter2").status == 500
        s.wait_log(rf"^collected Exception in {interface.upper()} application: \"GET /\?token=\*\*\* HTTP/1.1\": ValueError\('unhandled'\)$")
        assert s.log().count("ValueError: unhandled") == 1


@pytest.mark.parametrize("env,colours", [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_shows_colours(env, colours, tmp_path):
    master, slave = pty.openpty()
    argv = [binary(), "-b", "127.0.0.1:0", "-o", f"app.pythonpath={ROOT / 'tests'}", "apps.nothing_here:app"]
    environ = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    with subprocess.Popen(argv, stderr=slave, stdout=subprocess.DEVNULL, cwd=tmp_path, env={**environ, **env}) as p:
        os.close(slave)
        said = b""
        try:
            while piece := os.read(master, 65536):
                said += piece
        except OSError:  # the end of a terminal
            pass
        os.close(master)
        assert p.wait() in (3, 4, -signal.SIGTERM)
    assert (b"\033[31m[ERROR]\033[0m " in said) == colours and b"[ERROR]" in said
