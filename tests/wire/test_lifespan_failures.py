# SPDX-License-Identifier: BSD-3-Clause
"""An exception of a lifespan's start: only an Exception before lifespan.startup was received says that the application does not
know the protocol (lifespan = auto). Whatever else is raised is a failed start, with its traceback in the log."""

import os
import signal

import pytest

from lib.build import ROOT
from lib.client import Conn
from lib.server import Server
from lib.waiting import wait_for

KINDS = ["exception", "exit", "interrupt", "cancelled", "generator_exit", "own", "group"]


def app(name):
    return f"apps.lifespan_failures:{name}"


def fails(name, **keys):
    s = Server(app(name), {"app": keys}, status=3, allow=("Traceback", "[CRITICAL]"))
    try:
        with Conn(s.address) as c:
            c.send_request("GET", "/")
            s.start()
            assert s.wait_exit() == 3
            assert not any("READY=1" in text for text in s.notified)
            log = s.log()
            s.stop()
            assert c.read_to_end() == b""
        assert "failed to start" in log and "Traceback" in log and "is ready" not in log
        assert "the database is away" in log or "SystemExit: 2" in log
    except BaseException:
        s.kill()
        s.dump("test failed")
        s.cleanup()
        raise


# uvloop loads in no sub-interpreter.
ALONE = "main" if os.environ.get("TINE_TEST_LOOP") == "uvloop" else "sub"


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize("when", ["received", "received_later"])
@pytest.mark.parametrize("kind", KINDS)
def test_after_startup_was_received(kind, when, mode):
    # Alone: with auto, the main interpreter is tried as well.
    fails(f"{when}_{kind}", lifespan=mode, interpreter="auto" if mode == "auto" else ALONE)


@pytest.mark.parametrize("when", ["scope", "scope_later"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_at_the_scope_what_is_no_exception_of_a_program(kind, when):
    fails(f"{when}_{kind}", lifespan="auto", interpreter="auto" if when == "scope" else ALONE)


@pytest.mark.parametrize("when", ["scope", "scope_later"])
def test_at_the_scope_an_exception_means_no_lifespan(when):
    with Server(app(f"{when}_exception")) as s:
        assert s.get("/").body == b"up"
        assert "[ERROR]" not in s.log()


@pytest.mark.parametrize("place", [("main", False), ("main", True)], ids=["main", "mold"])
@pytest.mark.parametrize("kind", ["exception", "exit"])
def test_wherever_it_runs(kind, place):
    fails(f"received_{kind}", interpreter=place[0], preload_app=place[1])


@pytest.mark.parametrize("kind", ["exception", "exit", "interrupt"])
def test_a_reload_into_it_is_rolled_back(kind, tmp_path):
    def version(name):
        (tmp_path / "changing.py").write_text(f"from apps.lifespan_failures import {name} as app\n")

    version("scope_exception")
    config = {"server": {"workers": 1}, "app": {"pythonpath": f"{tmp_path}, {ROOT / 'tests'}"}}
    with Server("changing:app", config, allow=("Traceback",), respawn=True) as s:
        old = s.workers()
        version(f"received_{kind}")
        s.signal(signal.SIGHUP)
        s.wait_log("failed to start")
        wait_for(lambda: sorted(s.workers()) == sorted(old), what="the old workers alone")
        assert s.get("/").body == b"up"
