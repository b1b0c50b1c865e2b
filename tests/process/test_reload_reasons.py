# SPDX-License-Identifier: BSD-3-Clause
"""What `systemctl reload` and `tinectl reload` say of a reload that fails: the exit status, and the file and key that it is about."""

import os
import re
import shlex
import subprocess

import pytest

from lib.build import ROOT, binary
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import DEADLINE

TINECTL = os.path.join(os.path.dirname(binary()), "tinectl")


def serve(**control):
    return Server("hello", {"control": {"socket": "control.sock", **control}}, respawn=True)


def exec_reload(server):
    """The unit's own line, as systemd would run it."""
    [line] = re.findall(r"^ExecReload=(.*)$", (ROOT / "conf" / "tine.service").read_text(), re.M)
    words = shlex.split(line.replace("$MAINPID", str(server.pid)))
    assert words[0] == "/usr/bin/tinectl" and "/etc/tine/tine.ini" in words
    argv = [TINECTL, *(str(server.dir / "tine.ini") if w == "/etc/tine/tine.ini" else w for w in words[1:])]
    return subprocess.run(argv, cwd=server.dir, capture_output=True, text=True, timeout=3 * DEADLINE, stdin=subprocess.DEVNULL)


def test_a_reload_of_the_unit_waits_and_says_how_it_went():
    with serve() as server:
        done = exec_reload(server)
        assert (done.returncode, done.stdout) == (0, "reloaded: generation 2 serves with 1 worker\n")
        assert "reloaded: generation 2 serves" in server.log(), "it did not wait"


def cases(folder):
    port = free_port()
    missing = folder / "missing"
    return {
        "access log": ({"log": {"accesslog": missing / "a.log"}}, f"log.accesslog {missing}/a.log: No such file or directory"),
        "error log": ({"log": {"errorlog": missing / "e.log"}}, f"log.errorlog {missing}/e.log: No such file or directory"),
        "a folder as a log": ({"log": {"accesslog": folder}}, f"log.accesslog {folder}: Is a directory"),
        "bind": ({"server": {"bind": f"unix:{missing}/s"}}, f"unix:{missing}/s: No such file or directory"),
        "address": ({"server": {"bind": f"192.0.2.1:{port}"}}, f"192.0.2.1:{port}: Cannot assign requested address"),
        "control socket": ({"control": {"socket": missing / "c"}}, f"{missing}/c: No such file or directory"),
        "certificate": ({"server": {"bind": f"127.0.0.1:{port} tls"}, "tls": {"certfile": missing / "c.pem"}},
                        f"{missing}/c.pem: No such file or directory"),
        "value": ({"server": {"timeout": "soon"}}, "timeout"),
        "application": ({"app": {"module": "apps.unimportable:app"}}, "ImportError: this module does not want"),
    }


@pytest.mark.parametrize("what", ["access log", "error log", "a folder as a log", "bind", "address", "control socket",
                                  "certificate", "value", "application"])
def test_a_reload_that_fails_names_the_file_and_the_key(tmp_path, what):
    changes, reason = cases(tmp_path)[what]
    server = Server(None, {"control": {"socket": "control.sock"}, "app": {"module": "apps.hello:app"}}, respawn=True,
                    allow=("Traceback", "[CRITICAL]"))
    with server:
        path = server.dir / "control.sock"
        server.write_config(changes)
        argv = [TINECTL, "-s", str(path), "reload"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=3 * DEADLINE, stdin=subprocess.DEVNULL)
        assert done.returncode == 1
        assert reason in done.stderr, done.stderr
        assert server.get("/").status == 200, "the old workers serve"


def test_a_start_that_fails_names_the_access_log(tmp_path):
    server = Server("hello", {"log": {"accesslog": tmp_path / "missing" / "a.log"}}, status=3)
    server.start()
    assert server.wait_exit() == 3
    assert f"log.accesslog {tmp_path}/missing/a.log: No such file or directory" in server.log()
    server.kill()
    server.cleanup()


def test_without_a_control_socket_the_unit_reloads_by_signal():
    """As units of earlier versions did, for those who keep their configuration."""
    with Server("hello", respawn=True) as server:
        done = exec_reload(server)
        assert done.returncode == 0 and "names no control.socket: sending SIGHUP" in done.stderr
        server.wait_log("reloaded: generation 2 serves")


def test_a_configuration_that_cannot_be_read_is_no_reason_for_a_signal():
    with serve() as server:
        (server.dir / "tine.ini").rename(server.dir / "gone.ini")
        done = exec_reload(server)
        assert done.returncode == 2 and "cannot be read" in done.stderr
        assert "SIGHUP" not in server.log()


def test_the_process_of_the_signal_has_to_be_one():
    for pid in ("", "0", "-1", "x", "1x"):
        done = subprocess.run([TINECTL, "-p", pid, "reload"], capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 1 and "expected the number of a process" in done.stderr
