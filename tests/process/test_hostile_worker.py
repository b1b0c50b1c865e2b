# SPDX-License-Identifier: BSD-3-Clause
"""An application that was taken over, and says anything on the worker's channel to the master, in each of its states: the
master lives, its log keeps its form, and the service goes on once the application is itself again."""

import re
import signal

import pytest

from lib.build import ROOT
from lib.server import Server
from lib.waiting import wait_for

HOSTILE = """
import os
import random
import socket

TYPES = %d

def channel():
    for name in os.listdir("/proc/self/fd"):
        try:
            s = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        if s.type == socket.SOCK_SEQPACKET:
            s.setblocking(False)
            return s

def say(n, kinds=None):
    s, dice = channel(), random.Random(n)
    for i in range(n):
        kind = dice.choice(kinds or [*range(TYPES), TYPES, 255])
        text = dice.choice([b"", b"\\xff" * 8, b"x\\n[2026-01-01 00:00:00 +0000] [1] [ERROR] FORGED\\n", b"\\0" * 100, b"y" * 60000,
                            b"%%s%%n", b"\\x1b[2J", dice.randbytes(8)])
        try:
            s.send(bytes([kind]) + text)
        except (BlockingIOError, BrokenPipeError):
            pass

if %r == "import":
    say(300)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if %r == "later":
            say(300)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if %r == "later":
            say(300)
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/say":
        say(300)
    if scope["path"] == "/each":
        for kind in range(TYPES):
            say(20, [kind])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
"""
TYPES = re.findall(r"^IPC_MSG\((\w+),", (ROOT / "common" / "ipc_msgs.def").read_text(), re.M)


def write(folder, when):
    (folder / "hostile.py").write_text(HOSTILE % (len(TYPES), when, when, when))


def check_log(s):
    """Whatever was said is a record of the master, or lines of one."""
    text = s.log()
    assert not re.search(r"^\[[^]]*\] \[1\] \[ERROR\] FORGED", text, re.M) and "\x1b" not in text
    assert "bug: " not in text


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("when", ["import", "later"])
def test_the_master_outlives_what_a_worker_says(tmp_path, when, preload):
    write(tmp_path, "never")
    config = {"server": {"workers": 2, "graceful_timeout": "2s"}, "app": {"pythonpath": tmp_path, "preload_app": preload}}
    with Server("hostile:app", config, respawn=True, allow=("Traceback", "[CRITICAL]")) as s:
        write(tmp_path, when)
        mark = s.log_mark()
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation|reload failed: ", mark)
        for path in ("/each", "/say") if when == "later" else ():
            try:
                s.get(path)
            except (AssertionError, OSError):
                pass  # the master may have ended who said it
        write(tmp_path, "never")
        mark = s.log_mark()
        s.signal(signal.SIGHUP)
        s.wait_log(r"reloaded: generation \d+ serves", mark)
        wait_for(lambda: len(s.workers()) >= 2, what="workers")
        assert s.get("/").status == 200 and s.alive()
        check_log(s)
