# SPDX-License-Identifier: BSD-3-Clause
"""What clients of the control socket, and whoever may write to its folder, can do to the master: not make it stop looking
after its workers, not change another file, and not be heard when they are not root or the master's user."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.server import Server
from lib.waiting import DEADLINE, wait_for

GARBAGE = [b"", b"sta", b"\0" * 500, b"\xff" * 500, b"x" * 20000, b"\n" * 500, b"status" * 500 + b"\n", b"GET / HTTP/1.1\r\n\r\n",
           b"\x1b[2J\n", b"scale 99999999999999999999\n", b"{\"a\":" * 200 + b"\n", b"status\n" * 500, b"stacks 1\n", b"workers\nconf"]


def server(app="builtin:hello", **more):
    config = {"control": {"socket": "control.sock", **more.pop("control", {})}, **more.pop("config", {})}
    return Server(app, config, respawn=True, **more)


def path_of(s):
    return str(s.dir / "control.sock")


def connect(s):
    c = socket.socket(socket.AF_UNIX)
    c.settimeout(DEADLINE)
    c.connect(path_of(s))
    return c


def ask(s, line=b"status"):
    with connect(s) as c:
        c.sendall(line + b"\n")
        return json.loads(c.makefile("rb").readline())


def check_that_it_looks_after_its_workers(s):
    old, = s.workers()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: s.workers() and old not in s.workers(), what="another worker")
    assert s.get("/").status == 200


def test_a_thousand_clients():
    """Each stays, and says nothing, or something that is no command."""
    with server() as s, contextlib.ExitStack() as stack:
        heard = refused = 0
        for n in range(1000):
            c = stack.enter_context(connect(s))
            with contextlib.suppress(OSError):
                c.setblocking(False)
                c.sendall(GARBAGE[n % len(GARBAGE)])
            if n % 100 == 99:
                check_that_it_looks_after_its_workers(s)
            if n >= 100 and n % 100 == 0:
                c.settimeout(DEADLINE)
                with contextlib.suppress(ConnectionResetError):
                    said = c.recv(1000)
                    refused += b"too many clients" in said
                    heard += said.startswith(b'{"ok":true')
        assert refused + heard == 9 and heard <= 1, (heard, refused)
        descriptors = len(os.listdir(f"/proc/{s.pid}/fd"))
        assert descriptors < 32 + 40
        stack.close()
        wait_for(lambda: ask(s)["ok"], what="room")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_who_is_refused_is_logged_but_not_each_time():
    code = """if True:
        import os, socket, sys
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        for _ in range(1000):
            with socket.socket(socket.AF_UNIX) as c:
                c.connect(sys.argv[1])
                assert b"only root" in c.recv(1000)
                try:
                    c.sendall(b"stop quick\\n")
                except OSError:
                    pass
        print(os.getpid())"""
    with server(control={"mode": "0666"}) as s:
        s.dir.chmod(0o755)
        pid = int(subprocess.run(["/usr/bin/python3", "-c", code, path_of(s)], stdout=subprocess.PIPE, check=True, timeout=3 * DEADLINE).stdout)
        s.dir.chmod(0o700)
        lines = re.findall(rf"control: refused process {pid} of user 65534 \((\d+) refused so far\)", s.log())
        assert lines[0] == "1" and len(lines) < 500
        check_that_it_looks_after_its_workers(s)
        assert ask(s)["ok"]


# --- the file ---

@pytest.mark.parametrize("kind", ["file", "folder", "fifo", "link", "dangling"])
def test_what_is_in_the_sockets_place_stays(tmp_path, kind):
    path = tmp_path / "control"
    (tmp_path / "thesis").write_text("my thesis\n")
    {"file": lambda: path.write_text("my thesis\n"), "folder": path.mkdir, "fifo": lambda: os.mkfifo(path),
     "link": lambda: path.symlink_to("thesis"), "dangling": lambda: path.symlink_to("nothing")}[kind]()
    before = os.lstat(path)
    s = server(control={"socket": path}, allow=("[CRITICAL]",))
    s.start()
    try:
        assert s.wait_exit() == 2 and "exists and is not a socket" in s.log()
        after = os.lstat(path)
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
        assert (tmp_path / "thesis").read_text() == "my thesis\n" and not (tmp_path / "nothing").exists()
    finally:
        s.kill()
        s.cleanup()


@pytest.mark.parametrize("kind", ["link", "file", "socket"])
def test_a_new_mode_is_for_the_socket_and_not_for_what_has_its_name(kind):
    with tempfile.TemporaryDirectory() as name, server(control={"socket": Path(name) / "control"}) as s:
        path, other = Path(name) / "control", Path(name) / "other"
        other.write_text("mine\n")
        other.chmod(0o600)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as mine:
            if kind == "socket":
                mine.bind(str(path))
                path.chmod(0o600)
            elif kind == "link":
                path.symlink_to("other")
            else:
                os.link(other, path)
            s.write_config({"control": {"mode": "0666"}})
            s.signal(signal.SIGHUP)
            s.wait_log("control.mode, control.group: .*File exists")
            s.wait_log("reloaded: generation 2")
            assert stat.S_IMODE(os.stat(other).st_mode) == 0o600
            assert kind == "link" or stat.S_IMODE(os.lstat(path).st_mode) == 0o600
