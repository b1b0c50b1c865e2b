# SPDX-License-Identifier: BSD-3-Clause
"""Another version is installed while the service runs: until it is upgraded (SIGUSR2) or restarted, its workers are of the
version that it is itself, also those that are born after the installation.

The other version is this one with another number in all its files.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lib.build import binary, hosted, modules, own_python
from lib.load import Load
from lib.server import Server
from lib.waiting import wait_for

pytestmark = pytest.mark.skipif(not hosted(), reason="Python is in the program")

APP = """
import array, os, re, socket


def deceive(module):
    # As a child would that becomes a Python.
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            channel = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if (channel.family, channel.type & 0xf) == (socket.AF_UNIX, socket.SOCK_SEQPACKET):
            with open(module) as file:
                channel.send(b"\\x00/lies/python")
                channel.sendmsg([b"\\x01" + module.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))])


def app(environ, start_response):
    if environ["QUERY_STRING"]:
        deceive(environ["QUERY_STRING"])
    body = environ["SERVER_SOFTWARE"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
OTHER = b"9.9.9"
MODES = {"sub": {"interpreter": "sub"}, "main": {"interpreter": "main"}, "preload": {"preload_app": True}}


def this_version():
    shown = subprocess.run([binary(), "--version"], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    return shown.split()[1].rstrip(b",")


def install(file, to, version, how="rename"):
    """As installers do: never into the file that is there, which processes run."""
    content, this = file.read_bytes(), this_version()
    assert len(this) == len(OTHER) and this in content
    new = to.with_name("new")
    new.write_bytes(content.replace(this, version))
    new.chmod(0o755)
    if how == "unlink" and to.exists():
        to.unlink()
    new.rename(to)


class Place:
    """An installation, and an application."""

    def __init__(self, folder):
        self.folder = folder
        self.program, self.lib = folder / "bin" / "tine", folder / "lib" / "tine"
        for each in (self.program.parent, self.lib, folder / "app"):
            each.mkdir(parents=True)
        (folder / "app" / "soft_app.py").write_text(APP)
        self.install(this_version())

    def install(self, version, how="rename"):
        install(Path(binary()), self.program, version, how)
        for module in modules():
            install(module, self.lib / module.name, version, how)

    @contextlib.contextmanager
    def server(self, **app):
        app = {"interface": "wsgi", "pythonpath": self.folder / "app", **app}
        s = Server("soft_app:app", {"server": {"workers": 2}, "app": app}, env={"VIRTUAL_ENV": ""}, respawn=True, allow={"Traceback"},
                   cwd=self.folder)
        plain = s.argv
        s.argv = lambda: [str(self.program), *plain()[1:]]
        with s:
            try:
                yield s
            finally:
                for pid in map(int, re.findall(r"as the new binary \(pid (\d+)\)", s.log())):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.delenv("TINE_TEST_PYTHON", raising=False)  # it would be preferred to the environments of these tests
    return Place(tmp_path)


def version_of(s):
    return s.get().body.decode().removeprefix("tine/").encode()


def kill_all(s):
    """One process after the other: what replaces it was born after the installation."""
    wait_for(lambda: len(s.workers()) == 2, what="an old generation's workers to end")
    for kind, words in ((s.molds, r"mold \(pid \d+\) has loaded"), (s.workers, r"worker \d+ \(pid \d+\) is ready")):
        for pid in kind():
            mark = s.log_mark()
            os.kill(pid, signal.SIGKILL)
            s.wait_log(words, mark)


def reload(s, words="reloaded: generation"):
    mark = s.log_mark()
    s.signal(signal.SIGHUP)
    s.wait_log(words, mark)


@pytest.mark.parametrize("mode,how", [("sub", "rename"), ("sub", "unlink"), ("main", "rename"), ("preload", "rename")])
def test_a_service_stays_what_it_is_until_it_is_upgraded(place, mode, how):
    this = this_version()
    with place.server(**MODES[mode]) as s:
        place.install(OTHER, how)
        kill_all(s)
        assert version_of(s) == this
        with Load(s.address, per_connection=5) as load:
            for _ in range(2):
                reload(s)
                load.more(20)
            kill_all(s)
            assert version_of(s) == this
            mark = s.log_mark()
            s.signal(signal.SIGUSR2)
            s.wait_log("is ready and serves too", mark)
            s.signal(signal.SIGTERM)
            assert s.wait_exit() == 0
            wait_for(lambda: version_of(s) == OTHER, what="the new version")
        assert not any("Tine" in line for line in s.log().splitlines() if "ERROR" in line)


def test_a_worker_that_dies_while_the_module_is_not_there_comes_back(place):
    """Between removal and installation, as pip and dpkg do it, and for as long as that takes."""
    with place.server() as s:
        for module in place.lib.iterdir():
            module.unlink()
        place.program.unlink()
        kill_all(s)
        reload(s)
        assert version_of(s) == this_version()


def test_a_module_that_comes_into_the_environment_is_for_the_next_server(place):
    """It would be found first, and does not fit this server: workers of this generation are as they were; a reload says why
    it fails, and an upgrade that brings both makes it work."""
    venv = place.folder / "venv"
    subprocess.run([own_python(), "-m", "venv", "--without-pip", venv], check=True, timeout=120)
    package = next(venv.glob("lib/python3*/site-packages")) / "tine"
    with place.server(venv=venv) as s:
        package.mkdir()
        for module in modules():
            install(module, package / module.name, OTHER)
        kill_all(s)
        before = s.workers()
        reload(s, r"(?s)site-packages/tine/_tine\S+: the server is Tine \S+, this module is Tine 9\.9\.9: install the same version "
                  r"of both; a server that runs takes a new one by SIGUSR2 or a restart.*reload failed")
        wait_for(lambda: s.workers() == before, what="the old workers alone")
        assert version_of(s) == this_version()
        install(Path(binary()), place.program, OTHER)
        mark = s.log_mark()
        s.signal(signal.SIGUSR2)
        s.wait_log("is ready and serves too", mark)
        s.signal(signal.SIGTERM)
        assert s.wait_exit() == 0
        wait_for(lambda: version_of(s) == OTHER, what="the new version")


def test_a_module_that_failed_is_not_kept(place):
    """Mended in its place, it is loaded: only what has worked stays."""
    venv = place.folder / "venv"
    subprocess.run([own_python(), "-m", "venv", "--without-pip", venv], check=True, timeout=120)
    package = next(venv.glob("lib/python3*/site-packages")) / "tine"
    package.mkdir()
    for module in modules():
        (package / module.name).write_bytes(b"\x7fELF, they say")
    with place.server() as s:
        s.write_config({"app": {"venv": venv}})
        reload(s, "reload failed")
        for module in modules():
            shutil.copy2(module, package / module.name)
        reload(s)
        wait_for(lambda: all(str(package) in Path(f"/proc/{pid}/maps").read_text() for pid in s.workers()), what="the new workers alone")


@pytest.mark.parametrize("mode", MODES)
def test_what_an_application_says_of_pythons_and_modules_is_not_believed(place, mode):
    """It could choose the code of workers that are born later."""
    lie = place.folder / "lie.so"
    with place.server(**MODES[mode]) as s:
        for module in modules():
            install(module, lie, OTHER)
        assert s.get(f"/?{lie}").status == 200
        kill_all(s)
        reload(s)
        assert version_of(s) == this_version() and "/lies/" not in s.log()
