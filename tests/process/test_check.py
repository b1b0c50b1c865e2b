# SPDX-License-Identifier: BSD-3-Clause
"""tine -t tries what the service will open, says key, origin and who holds an address, and leaves nothing behind; unknown options
are reported once; what -T prints is accepted by -t."""

import os
import socket

import pytest

from lib import certs
from lib.build import hosted
from lib.server import Server
from lib.sockets import free_port
from process.test_conf import tine


def check(tmp_path, *settings, app="builtin:hello", **env):
    """Status and standard error of -t with these settings."""
    done = tine("-t", *(word for one in settings for word in ("-o", one)), *([app] if app else []), cwd=tmp_path, **env)
    assert (done.stdout == "configuration OK\n") == (done.returncode == 0)
    return done.returncode, done.stderr


@pytest.mark.parametrize("setting, status, shown", [
    ("server.chdir=there_is_none", 1, "server.chdir: there_is_none: No such file or directory"),
    ("server.pidfile=none/pid", 2, "server.pidfile: none/pid cannot be written: No such file or directory"),
    ("log.errorlog=none/log", 2, "log.errorlog: none/log cannot be written"),
    ("log.accesslog=folder", 2, "log.accesslog: folder is a folder"),
    ("control.socket=none/control", 2, "control.socket: none/control cannot be written"),
    ("server.bind=unix:none/socket", 2, "server.bind: none/socket cannot be written"),
    ("server.bind=192.0.2.1:8000", 2, "server.bind: 192.0.2.1:8000: Cannot assign requested address"),
    ("metrics.bind=192.0.2.1:8000", 2, "metrics.bind: 192.0.2.1:8000: Cannot assign requested address"),
    ("server.bind=no-such-host.invalid:80", 2, "server.bind: no-such-host.invalid:80: "),
    ("app.venv=folder", 1, "app.venv: "), ("app.python=/there/is/none", 1, "app.python: ")])
def test_what_cannot_be_opened_is_told_with_key_and_origin(tmp_path, setting, status, shown):
    (tmp_path / "folder").mkdir()
    if setting.startswith("app.python") and not hosted():
        pytest.skip("Python is in the program")
    got, text = check(tmp_path, "server.bind=127.0.0.1:0", setting)
    if setting.startswith("server.bind"):
        got, text = check(tmp_path, setting)
    assert got == status and f"command line -o: {shown}" in text
    assert sorted(os.listdir(tmp_path)) == ["folder"]


def test_a_worker_may_use_more_than_makes_it_go(tmp_path):
    for settings, told in ((["server.max_worker_memory=300m"], True), (["server.max_worker_memory=300m", "http.limit_memory=64m"], False),
                           (["server.max_worker_memory=400m"], False), (["server.max_worker_memory=80%"], False)):
        status, text = check(tmp_path, "server.bind=127.0.0.1:0", *settings)
        assert status == 0 and ("warning: command line -o: server.max_worker_memory: 300 MB can be exceeded" in text) == told


def test_what_is_named_in_a_file_is_told_with_its_line(tmp_path):
    (tmp_path / "tine.ini").write_text("[server]\nbind = 127.0.0.1:0\n[static:/a]\ndir = here\n[static:/b]\ndir = there\n[tls]\n"
                                       "certfile = cert.pem\n")
    (tmp_path / "here").mkdir()
    status, text = check(tmp_path)
    assert status == 1 and f"{tmp_path}/tine.ini:6: static:/b.dir: there: No such file" in text and "static:/a" not in text
    status, text = check(tmp_path, "server.bind=127.0.0.1:0 tls")
    assert status == 1 and f"{tmp_path}/tine.ini:8: tls.certfile: " in text and "cert.pem" in text


def test_a_folder_that_a_unit_makes_when_it_starts_is_a_warning(tmp_path):
    status, text = check(tmp_path, "server.bind=unix:/run/there-is-none/socket", "control.socket=/run/there-is-none/control")
    assert status == 0 and sum(line.startswith("warning: ") for line in text.splitlines()) == 2
    assert "control.socket: /run/there-is-none/control: its folder is not there" in text


def test_all_faults_are_told_at_once(tmp_path):
    status, text = check(tmp_path, "log.errorlog=none/log", "server.pidfile=none/pid", "server.bind=192.0.2.1:1")
    assert status == 2 and len(text.splitlines()) == 3


def test_a_user_that_does_not_exist(tmp_path):
    status, text = check(tmp_path, "server.bind=127.0.0.1:0", "server.user=no_such_user_here")
    assert status == 1 and "server.user" in text and "no_such_user_here" in text


def test_certificates_that_are_there(tmp_path):
    config = certs.server().config()
    status, text = check(tmp_path, "server.bind=127.0.0.1:0 tls", *(f"tls.{key}={value}" for key, value in config.items()))
    assert (status, text) == (0, "")


@pytest.mark.parametrize("family, host", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_holder_of_a_busy_port_is_named_and_is_no_fault(tmp_path, family, host):
    with socket.socket(family) as s:
        try:
            s.bind((host, 0))
        except OSError:
            pytest.skip("no IPv6")
        s.listen()
        shown = f"[{host}]" if ":" in host else host
        status, text = check(tmp_path, f"server.bind={shown}:{s.getsockname()[1]}")
        assert status == 0 and f"warning: command line -o: server.bind: {shown}:{s.getsockname()[1]} is in use by " in text
        assert f"(pid {os.getpid()})" in text


def test_a_start_names_the_holder_too(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as s:
        done = tine("-b", f"127.0.0.1:{s.getsockname()[1]}", "builtin:hello", cwd=tmp_path)
        assert done.returncode == 2 and "Address already in use: " in done.stderr and f"(pid {os.getpid()})" in done.stderr
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        done = tine("-b", f"unix:{path}", "builtin:hello", cwd=tmp_path)
        assert done.returncode == 2 and "already in use by " in done.stderr and f"(pid {os.getpid()})" in done.stderr


def test_a_running_service_passes_its_own_check(tmp_path):
    port = free_port()
    with Server("builtin:hello", {"server": {"bind": f"127.0.0.1:{port}", "pidfile": "pid"}}, cwd=tmp_path) as s:
        done = tine("-t", "-c", str(s.dir / "tine.ini"), "builtin:hello", cwd=tmp_path)
        assert done.returncode == 0 and f"(pid {s.process.pid})" in done.stderr
        assert s.process.poll() is None


# --- the command line ---

@pytest.mark.parametrize("words, shown", [
    (["--port", "8000"], "unknown option --port: it is written -b :8000"), (["--port=8000"], "it is written -b :8000"),
    (["--host", "0.0.0.0"], "it is written -b HOST:PORT"), (["--uds", "/x"], "it is written -b unix:/x"),
    (["--log-level", "debug"], "it is written -o log.loglevel=debug"), (["--reload"], "it is written -o server.reload=true"),
    (["--access-logfile", "-w"], "it is written -o log.accesslog=VALUE"), (["--factory"], "it is written MODULE:FACTORY()"),
    (["--worker-class", "x"], "app.interface is found out by itself"), (["--no-such", "1"], "unknown option \"--no-such\"")])
def test_an_unknown_option_is_told_once(tmp_path, words, shown):
    for where in ([*words, "main:app"], ["main:app", *words]):
        done = tine(*where, cwd=tmp_path)
        assert done.returncode == 1 and done.stdout == ""
        lines = done.stderr.splitlines()
        assert shown in lines[0] and lines[-1] == "Try tine --help." and "application" not in done.stderr
        assert len(lines) == 2 or "-w" in words


# --- -T and -t ---

def test_what_is_printed_is_accepted_again(tmp_path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "tine.ini").write_text("""
[server]
bind = 127.0.0.1:0, unix:s
env_file = vars.env
[app]
module = site:make("a:b", n=1)
pythonpath = lib
interpreter = main
blocking_warning = 100ms
[mount:/api]
module = api:app
threads = 8
[mount:/old]
module = old:app
root_path = /x
pythonpath = lib
[static:/s]
dir = .
[env]
A = $$x
""")
    (tmp_path / "vars.env").write_text("B=1\n")
    printed = tine("-T", cwd=tmp_path)
    assert printed.returncode == 0
    (tmp_path / "again.ini").write_text(printed.stdout)
    done = tine("-t", "-c", "again.ini", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration OK\n", "")
    again = tine("-T", "-c", "again.ini", cwd=tmp_path)

    def settings(text):
        return [line.partition(" ;")[0].rstrip() for line in text.splitlines() if line[:1] != ";"]
    assert settings(again.stdout) == settings(printed.stdout)
