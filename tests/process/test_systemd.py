# SPDX-License-Identifier: BSD-3-Clause
"""The unit files, judged by systemd's own tools where they are installed, and socket activation by its launcher."""

import re
import shutil
import signal
import socket
import subprocess

import pytest

from lib.build import ROOT
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import DEADLINE

SERVICE = ROOT / "conf" / "tine.service"
SOCKET = ROOT / "conf" / "tine.socket"


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"needs {program}")


def run(*args):
    return subprocess.run(args, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)


@needs("systemd-analyze")
def test_the_service_is_exposed_as_little_as_promised():
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(SERVICE))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze knows no --offline")
    score = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    assert score and float(score.group(1)) <= 2.0, done.stdout + done.stderr


@needs("systemd-analyze")
def test_the_units_have_no_mistakes(tmp_path):
    """But for what is not installed here: the program and its manuals."""
    for unit in (SERVICE, SOCKET):
        (tmp_path / unit.name).write_text(re.sub(r"/usr/bin/tine(ctl)?\b", "/bin/true", unit.read_text()))
    done = run("systemd-analyze", "verify", "--man=no", str(tmp_path / "tine.service"), str(tmp_path / "tine.socket"))
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or line.startswith("tine.")]
    assert ours == []


def test_the_service_lets_the_masters_speak():
    """In a binary upgrade the old one takes the service back, and systemd must hear it."""
    text = SERVICE.read_text()
    assert "\nType=notify\n" in text and "\nNotifyAccess=all\n" in text and "\nKillMode=mixed\n" in text


@needs("systemd-socket-activate")
@pytest.mark.parametrize("names", [None, "web:more"])
def test_socket_activation(names):
    """The launcher listens, starts the server at the first connection, and hands that on in the queue of the socket."""
    ports = [free_port(), free_port()]
    server = Server("hello", {"server": {"bind": "systemd"}})
    plain = server.argv
    launch = ["systemd-socket-activate", *(f"--listen=127.0.0.1:{port}" for port in ports)]
    launch += [f"--fdname={names}"] if names else []
    passed = [f"--setenv={name}={server.env[name]}" for name in ("PYTHONDONTWRITEBYTECODE", "LC_ALL", "ASAN_OPTIONS")]
    server.argv = lambda: [*launch, *passed, f"--setenv=NOTIFY_SOCKET={server.env['NOTIFY_SOCKET']}",
                           f"--setenv=TINE_TEST_EVENTS={server.env['TINE_TEST_EVENTS']}", *plain()]
    try:
        server.start()
        server.wait_log("Listening on .*" + str(ports[1]))
        with socket.create_connection(("127.0.0.1", ports[0]), timeout=DEADLINE) as first:
            first.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert first.recv(100).startswith(b"HTTP/1.1 200")
        server.wait_ready()
        for port in ports:
            assert f"listening on 127.0.0.1:{port}" in server.log()
        server.signal(signal.SIGHUP)
        server.wait_log("reloaded: generation 2")
        with socket.create_connection(("127.0.0.1", ports[1]), timeout=DEADLINE) as second:
            second.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert second.recv(100).startswith(b"HTTP/1.1 200")
        server.respawn = True
        server.stop()
    finally:
        server.kill()
        server.cleanup()
