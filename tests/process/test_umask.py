# SPDX-License-Identifier: BSD-3-Clause
"""server.umask: not set, the one that the service was started with; and the modes of the files that the service makes itself."""

import os
import re
import stat
from pathlib import Path

import pytest

from lib.server import Server
from lib.waiting import wait_for


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def umask_of(pid):
    return int(re.search(r"^Umask:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M).group(1), 8)


def server(umask, config, app="hello", **options):
    """A server that a shell with this umask starts."""
    s = Server(app, config, **options)
    plain = s.argv
    s.argv = lambda: ["/bin/sh", "-c", f'umask {umask}; exec "$@"', "sh", *plain()]
    return s


@pytest.mark.parametrize("preload", [False, True], ids=["plain", "preload"])
@pytest.mark.parametrize("inherited,configured,expected", [
    ("027", None, 0o027), ("000", None, 0), ("022", "", 0o022), ("077", "0", 0), ("000", "0137", 0o137),
])
def test_workers_have_the_umask_of_the_configuration_or_else_the_inherited_one(preload, inherited, configured, expected):
    keys = {} if configured is None else {"umask": configured}
    with server(inherited, {"server": keys, "app": {"preload_app": preload}}) as s:
        assert [umask_of(pid) for pid in s.workers()] == [expected]
        assert umask_of(s.pid) == int(inherited, 8)


@pytest.mark.parametrize("inherited,log_mode", [("000", 0o640), ("022", 0o640), ("077", 0o600)])
def test_modes_of_the_files_of_the_service(tmp_path, inherited, log_mode):
    config = {"server": {"bind": f"unix:{tmp_path}/s.sock", "socket_mode": "0666", "pidfile": tmp_path / "pid", "umask": "0"},
              "control": {"socket": tmp_path / "control"},
              "log": {"errorlog": tmp_path / "error", "accesslog": tmp_path / "access"}}
    with server(inherited, config, app="builtin:hello"):
        wait_for((tmp_path / "access").exists, what="the access log")
        assert mode(tmp_path / "error") == log_mode
        assert mode(tmp_path / "s.sock") == 0o666, "socket_mode counts, whatever the umask is"
        assert mode(tmp_path / "control") == 0o600
        assert mode(tmp_path / "pid") == 0o644 & ~int(inherited, 8)
        # It is the worker that makes the access log, with its own umask.
        assert mode(tmp_path / "access") == 0o640
