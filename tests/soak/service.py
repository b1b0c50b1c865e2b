# SPDX-License-Identifier: BSD-3-Clause
"""The server of the soak: its configuration, what beside it is needed, and the ways to ask it how it is."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

from lib import certs
from lib.build import binary
from lib.client import Conn
from lib.procfs import processes_of_session
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import wait_for
from content import content
from logs import LEVEL, AccessLog, ErrorLog, Follower

STATIC = 3_000_000
TINECTL = os.path.join(os.path.dirname(binary()), "tinectl")


def echo_service():
    """Sends back what comes; the other end of the application's own connections. Returns the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def serve(s):
        with s:
            try:
                while (data := s.recv(4096)):
                    s.sendall(data)
            except OSError:
                pass

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def sanitizers():
    return b"libasan" in Path(binary()).read_bytes()


class Site:
    def __init__(self, on_exit=lambda pid, at: None, workers=2):
        self.patience = 120
        self.sanitized = sanitizers()
        self.metrics_port = free_port()
        config = {
            "server": {"workers": workers, "timeout": "20s" if self.sanitized else "4s", "graceful_timeout": "30s"},
            "http": {"keepalive": "5s", "header_timeout": "8s" if self.sanitized else "4s", "compress": "gzip"},
            "mount:/wsgi": {"module": "soak.wsgi_application:app", "threads": 3},
            "control": {"socket": "control.sock"},
            "metrics": {"bind": f"127.0.0.1:{self.metrics_port}"},
        }
        self.server = Server("soak.application:app", config, sockets=2, respawn=True, deadline=self.patience,
                             allow=("Traceback",))
        s = self.server
        s.env.update(SOAK_ECHO_PORT=str(echo_service()), SOAK_BROKEN=str(s.dir / "broken"))
        clear, tls = s.sockets
        s.config["server"]["bind"] = [f"fd://{clear.fileno()} h2c", f"fd://{tls.fileno()} tls"]
        s.config["tls"] = certs.server().config()
        s.config["static:/static"] = {"dir": str(s.dir / "static")}
        s.config["log"] = {"errorlog": str(s.dir / "tine.log"), "accesslog": str(s.dir / "access.log"),
                           "access_log_format": '%(p)s %(s)s %(q)s "%(m)s" %(B)s'}
        (s.dir / "static").mkdir()
        (s.dir / "static" / "big.bin").write_bytes(content("static", STATIC))
        (s.dir / "static" / "small.txt").write_bytes(content("small", 1000))
        self.errors, self.access = ErrorLog(on_exit), AccessLog()
        self.followers = [Follower(s.dir / "tine.log", self.errors.take), Follower(s.dir / "access.log", self.access.take)]
        self.places = {"clear": clear.getsockname()[:2], "tls": tls.getsockname()[:2]}
        self.scrapes, self.last_counters = 0, {}

    def start(self):
        self.server.start()
        self.server.wait_ready()
        for f in self.followers:
            f.start()
        self.wait_workers()
        self.home = self.files()

    @property
    def pid(self):
        return self.server.pid

    def files(self):
        """What is in the server's folder; what comes and goes with rotation left out."""
        return {p.name for p in self.server.dir.iterdir()} - {"broken"}

    # --- asking ---

    def ctl(self, *words, status=0):
        done = subprocess.run([TINECTL, "-s", str(self.server.dir / "control.sock"), *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=self.patience)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def workers(self):
        return json.loads(self.ctl("-j", "workers"))["workers"]

    def ready(self):
        """Ids of the workers that serve and are to go on."""
        return [w["pid"] for w in self.workers() if w["state"] == "ready"]

    def wait_workers(self, n=None):
        """Until so many workers serve; others may still leave. Returns their ids."""
        wanted = n or self.server.config["server"]["workers"]
        wait_for(lambda: len(self.ready()) == wanted, self.patience, f"{wanted} workers")
        return sorted(self.ready())

    def wait_still(self):
        """Until nobody is there but the workers that serve, without a connection. Returns their ids."""
        wanted = self.server.config["server"]["workers"]

        def still():
            workers = self.workers()
            return len(workers) == wanted and all(w["state"] == "ready" and not w["connections"] for w in workers)
        try:
            wait_for(still, self.patience, "the server to rest")
        except AssertionError as e:
            raise AssertionError(f"{e}: {self.workers()}\n{self.sockets()}\n{self.ctl('stacks')}") from None
        return sorted(self.ready())

    def sockets(self):
        """What the kernel has of our addresses' connections."""
        ports = {f"{port:04X}" for _, port in self.places.values()}
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return "\n".join(line for line in lines if {part.rpartition(":")[2] for part in line.split()[1:3]} & ports
                         and line.split()[3] not in ("0A", "06"))

    def generation(self):
        return json.loads(self.ctl("-j", "status"))["generation"]

    def connect(self):
        return Conn(self.places["clear"])

    def fetch(self, path, accept="*/*"):
        h = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=self.patience)
        try:
            h.request("GET", path, headers={"Accept": accept})
            r = h.getresponse()
            return r.status, r.read().decode()
        finally:
            h.close()

    def scrape(self):
        """All that the master tells; counters never go back. Returns the samples."""
        status, text = self.fetch("/metrics", "application/openmetrics-text; version=1.0.0")
        assert status == 200 and text.endswith("# EOF\n"), text[-200:]
        samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        for name, value in samples.items():
            if "_total" in name:
                assert float(value) >= self.last_counters.get(name, 0), f"{name} went back to {value}"
                self.last_counters[name] = float(value)
        assert self.fetch("/healthz")[0] == 200
        json.loads(self.fetch("/status?format=json")[1])
        self.scrapes += 1
        return samples

    def total(self, samples, name):
        """The sum over a metric's labels."""
        return sum(float(v) for k, v in samples.items() if re.match(rf"{name}(\{{|$)", k))

    # --- telling ---

    def configure(self, changes):
        self.server.write_config(changes)

    def reload(self):
        mark = self.errors.mark()
        self.server.signal(signal.SIGHUP)
        self.errors.wait(r"reloaded: generation \d+", mark, self.patience)

    def rotate(self):
        """Renames both logs, has them opened again and waits until the new ones are there."""
        for f in self.followers:
            f.path.rename(f"{f.path}.1")
        self.server.signal(signal.SIGUSR1)
        for f in self.followers:
            wait_for(f.path.exists, self.patience, f"a new {f.path.name}")
        # Workers open it by themselves, and write to the old one until then.
        wait_for(self.nobody_holds_the_old, self.patience, "all workers to let go of the old logs")
        for f in self.followers:
            f.rotated(Path(f"{f.path}.1"))

    def nobody_holds_the_old(self):
        for pid in [self.pid, *self.server.workers()]:
            try:
                names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            except OSError:
                continue
            if any(n.endswith((".log.1", ".log.1 (deleted)")) for n in names):
                return False
        return True

    def stop(self):
        """TERM: exit status 0, nothing left, checked by the harness; returns what is wrong as a list."""
        wrong = []
        try:
            self.server.process.send_signal(signal.SIGTERM)
            status = self.server.wait_exit()
            if status != 0:
                wrong.append(f"exit status {status}")
            wait_for(lambda: not self.left(), 20, "all processes to end")
        except AssertionError as e:
            wrong.append(f"{e}; left: {self.left()}")
        for f in self.followers:
            f.stop()
        self.errors.judge()
        left = self.files() - (self.home - {"control.sock"})
        if left:
            wrong.append(f"files are left: {sorted(left)}")
        return wrong

    def left(self):
        return processes_of_session(self.pid)

    def stderr_faults(self):
        """Sanitizers and a dying Python write past the log."""
        return [line for line in self.server.log().splitlines() if LEVEL.search(line)]
