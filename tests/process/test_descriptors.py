# SPDX-License-Identifier: BSD-3-Clause
"""Which descriptors each process has: a worker what it needs, a child of the application the standard streams, a new
binary the listening sockets. With everything on that opens any."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from lib.build import ROOT
from lib.procfs import children_of
from lib.server import Server
from lib.waiting import wait_for

# What event loops and Python's own bookkeeping need; each process has its own.
OWN = ("anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[timerfd]", "/dev/null", "/dev/urandom")


def descriptors(pid):
    """{number: what it is}"""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
    return found


def settled(pid):
    """Descriptors of a worker that imports nothing at the moment: only the first is waited for by whoever says ready."""
    def without_imports():
        found = descriptors(pid)
        return None if any("/python" in what for what in found.values()) else found

    return wait_for(without_imports, what="the end of imports")


def flags_of(pid, n):
    return int(re.search(r"^flags:\s+(\d+)", Path(f"/proc/{pid}/fdinfo/{n}").read_text(), re.M).group(1), 8)


def listening():
    """{"socket:[inode]": address} of every listening socket of this machine's network name space."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            found[f"socket:[{fields[9]}]"] = int(fields[1].split(":")[1], 16)
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(None, 7)
        if int(fields[3], 16) & 0x10000 and len(fields) > 7:
            found[f"socket:[{fields[6]}]"] = fields[7]
    return found


def everything(folder, name="children:app", **more):
    """TLS, control, metrics, statsd, notification, logs to files, a pidfile, static files, a Unix socket."""
    (folder / "static").mkdir(exist_ok=True)
    hearer = more.pop("hearer")
    config = {"server": {"workers": 2, "pidfile": folder / "pid", **more.pop("server", {})},
              "app": {"pythonpath": ROOT / "tests", **more.pop("app", {})},
              "control": {"socket": folder / "control"}, "static:/static": {"dir": folder / "static"},
              "metrics": {"bind": ["127.0.0.1:0", f"unix:{folder}/metrics"], "statsd": f"127.0.0.1:{hearer.getsockname()[1]}"},
              "log": {"errorlog": folder / "error", "accesslog": folder / "access"}}
    return Server(f"apps.{name}", config, sockets=2, tls=True, **more)


@pytest.fixture
def hearer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        yield s


# In a named interpreter: with auto, workers move to the main one when the application forks, and others are born meanwhile.
MAIN = {"interpreter": "main"}
WAYS = {"asgi": ("children:app", {"app": MAIN}), "sub": ("children:app", {"app": {"interpreter": "sub"}}),
        "wsgi": ("children:wsgi", {"app": {"threads": 4, **MAIN}}),
        "preloaded": ("children:app", {"app": {"preload_app": True}}),
        "development": ("children:app", {"app": MAIN, "server": {"reload": True}})}


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_has_what_it_needs_and_its_children_the_standard_streams(tmp_path, hearer, way):
    app, more = WAYS[way]
    with everything(tmp_path, app, hearer=hearer, cwd=tmp_path, **more) as s:
        for n in (1, 2):
            wait_for(lambda: re.search(rf"worker {n} \(pid \d+\) is ready", (tmp_path / "error").read_text()), what=f"worker {n}")
        with s.connect() as other, s.connect() as c:
            other.request("GET", "/static/none")
            for how, found in c.request("GET", "/").json().items():
                assert set(found) == {"0", "1", "2"} and found["0"] == "/dev/null", (how, found)
        served = {x.getsockname()[1] for x in s.sockets}
        sockets = listening()
        masters = descriptors(s.pid)
        told = {what for what in masters.values() if sockets.get(what) not in (None, *served)}
        assert len(told) == 3, "the master listens for control and metrics"
        for pid in s.workers() + s.molds():
            check_worker(pid, settled(pid), masters, served, sockets, tmp_path)
        assert not [what for what in masters.values() if ".key" in what or ".crt" in what]


def check_worker(pid, found, masters, served, sockets, folder):
    above = {n: what for n, what in found.items() if n > 2}
    ports = [sockets[what] for what in above.values() if what in sockets]
    assert sorted(ports) == sorted(served), (pid, above)
    rest = [what for what in above.values() if what not in sockets]
    files = [what for what in rest if what.startswith("/") and what not in OWN]
    begins = os.readlink(f"/proc/{pid}/cwd")  # where relative paths of the configuration begin
    assert set(files) <= {begins, f"{folder}/error", f"{folder}/access", f"{folder}/static"}, (pid, above)
    shared = [what for what in rest if what in masters.values() and re.match(r"(socket|pipe):", what)]
    stacks = [n for n, what in above.items() if what in shared and flags_of(pid, n) & os.O_ACCMODE == os.O_WRONLY]
    assert len(shared) == len(stacks) <= 1, (pid, found, masters)  # the pipe for stacks, whose other end the master has
    assert sum(what.startswith("socket:") for what in rest) <= 1 + 2, (pid, above)  # to the master; a pair that wakes it
    odd = [what for what in rest if not what.startswith(("/", "socket:", "pipe:")) and what not in OWN]
    assert odd == [], (pid, odd)
    for n in above:
        assert flags_of(pid, n) & os.O_CLOEXEC, f"{above[n]} of {pid} would be inherited"


def test_a_new_binary_has_the_listening_sockets(tmp_path, hearer):
    with everything(tmp_path, hearer=hearer, respawn=True) as s:
        s.signal(signal.SIGUSR2)
        done = wait_for(lambda: re.search(r"the new binary \(pid (\d+)\) is ready and serves too", (tmp_path / "error").read_text()),
                        what="the new binary")
        new = int(done.group(1))
        try:
            sockets, old = listening(), descriptors(s.pid)
            found = descriptors(new)
            # The socket that tells the old master that the new one serves has its other end there.
            shared = [what for n, what in found.items() if n > 2 and what in old.values() and re.match(r"(socket|pipe):", what)]
            assert shared and all(what in sockets for what in shared), shared
            served = {x.getsockname()[1] for x in s.sockets}
            assert served <= {sockets[what] for what in shared}
            assert not [what for what in found.values() if ".key" in what]
            for pid in children_of(new):
                check_worker(pid, settled(pid), found, served, sockets, tmp_path)
        finally:
            os.kill(new, signal.SIGTERM)
            wait_for(lambda: "the new binary" in (tmp_path / "error").read_text().rpartition("serves too")[2], what="its end")
