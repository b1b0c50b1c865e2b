# SPDX-License-Identifier: BSD-3-Clause
"""Starts Tine for a test and checks how it ends; standard library only. $TINE_TEST_PYTHON: another Python for the application than
the one that it would have (app.python).

A Server hands its listening sockets down (fd://N), so no port can be lost to another program, learns from a READY=1
datagram when it may continue, and when it stops checks exit status, log and leftover processes. It must never sleep to
wait for something that can be observed, and every wait has a deadline.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from lib import certs
from lib.build import ROOT, binary
from lib.client import Conn
from lib.procfs import children_of, name_of, processes_of_session
from lib.sockets import listening_socket
from lib.tls import TLSConn
from lib.waiting import DEADLINE, wait_for

# What must not be in any error log unless the test expects it.
FAULTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "UndefinedBehaviorSanitizer", "runtime error: ",
          "Assertion `", "[CRITICAL]", "Traceback", "was never awaited", "was never retrieved", "Exception ignored",
          "Fatal Python error")
MARK = b"all that was sent before has been read"


class Server:
    """One tine with its configuration in a folder of its own.

    app       "hello" = tests/apps/hello.py:app; "mod:attr" as it is; None = none given
    config    {"section": {"key": value or list of values}}; server.bind of the caller's replaces the sockets below
    sockets   how many inherited listening sockets (fd://N); flags: text behind each bind (" proxy")
    tls       True: the sockets speak TLS with certs.server(), and connect() does; a dictionary: more keys of [tls]
    args      more arguments; env: more environment; status: the exit status that stop() asks for
    allow     words of FAULTS that may be in the log; respawn: workers may be replaced while it runs
    """

    def __init__(self, app=None, config=None, *, sockets=1, flags="", tls=None, family=socket.AF_INET, args=(), env=None, status=0,
                 allow=(), respawn=False, cwd=None, deadline=None):
        self.app, self.args, self.status, self.allow, self.respawn = app, list(args), status, set(allow), respawn
        self.deadline = deadline or DEADLINE
        self.config = {name: dict(keys) for name, keys in (config or {}).items()}
        self.dir = Path(tempfile.mkdtemp(prefix="tine-"))
        self.log_path = self.dir / "error.log"
        self.sockets = []
        self.tls = tls is not None and tls is not False
        if self.tls:
            flags += " tls"
            self.config["tls"] = {**certs.server().config(), **self.config.get("tls", {}), **(tls if tls is not True else {})}
        if "bind" not in self.config.setdefault("server", {}):
            self.sockets = [listening_socket(family) for _ in range(sockets)]
            self.config["server"]["bind"] = [f"fd://{s.fileno()}{flags and ' ' + flags.strip()}" for s in self.sockets]
        self.cwd = cwd or self.dir
        self.env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8", **{"XDG_STATE_HOME": str(self.dir), **(env or {})})
        self.env.pop("STATE_DIRECTORY", None)
        for name in ("WEB_CONCURRENCY", "PORT", "LISTEN_FDS", "LISTEN_PID"):
            if name not in (env or {}):
                self.env.pop(name, None)
        self.env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        self.env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.stdin = subprocess.DEVNULL
        self.process = None
        self.ending = False
        self.workers_at_ready = []
        self.notified = []
        self.events, self.heard = [], 0
        self.changed = threading.Condition()

    # --- life ---

    def __enter__(self):
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.kill()
            self.dump("start failed")
            self.cleanup()
            raise
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.stop()
            return
        self.kill()
        self.dump("test failed")
        self.cleanup()

    def argv(self):
        argv = [*shlex.split(os.environ.get("TINE_TEST_WRAPPER", "")), binary(), "-c", str(self.dir / "tine.ini"), *self.args]
        if self.app is not None:
            argv.append(self.app if ":" in self.app or "." in self.app else f"apps.{self.app}:app")
        return argv

    def write_config(self, changes=None):
        """Writes tine.ini from the dictionary; `changes` are merged in first (for tests of HUP)."""
        for name, keys in (changes or {}).items():
            self.config.setdefault(name, {}).update(keys)
        self.config.setdefault("app", {}).setdefault("pythonpath", str(ROOT / "tests"))
        if os.environ.get("TINE_TEST_LOOP"):
            self.config["app"].setdefault("loop", os.environ["TINE_TEST_LOOP"])
        if os.environ.get("TINE_TEST_PYTHON") and "venv" not in self.config["app"]:
            self.config["app"].setdefault("python", os.environ["TINE_TEST_PYTHON"])
        lines = []
        for name, keys in self.config.items():
            lines.append(f"[{name}]")
            for key, value in keys.items():
                for one in value if isinstance(value, (list, tuple)) else [value]:
                    lines.append(f"{key} = {str(one).lower() if isinstance(one, bool) else one}")
        (self.dir / "tine.ini").write_text("\n".join(lines) + "\n")

    def start(self):
        """Starts the process without waiting for it."""
        self.write_config()
        self.notify = self._listen("notify", "NOTIFY_SOCKET", self._on_notify)
        self.reports = self._listen("events", "TINE_TEST_EVENTS", self._on_event)
        with open(self.log_path, "ab") as log, open(self.dir / "stdout", "ab") as out:
            self.process = subprocess.Popen(self.argv(), cwd=self.cwd, env=self.env, stdin=self.stdin, stdout=out,
                                            stderr=log, start_new_session=True,
                                            pass_fds=[s.fileno() for s in self.sockets])
        return self

    def wait_ready(self):
        """Returns when READY=1 came; AssertionError when the process ended or the deadline is over."""
        self.wait_notified(lambda text: "READY=1" in text.split("\n"))
        self.workers_at_ready = wait_for(lambda: self.workers(), self.deadline, "a worker process")
        return self

    def wait_exit(self):
        """Waits for the process to end by itself, and for what its application has reported; returns its status (negative: signal)."""
        try:
            status = self.process.wait(self.deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError("tine did not exit") from None
        self._hear_reports()
        return status

    def stop(self, sig=signal.SIGTERM):
        """Asks it to end, then checks everything that a clean end has; always gives all resources back."""
        try:
            dead = set()
            if self.process.poll() is None and not self.ending:
                # One that never was ready may have moved to the main interpreter; if it has failed, the log says so.
                dead = {pid for pid in set(self.workers_at_ready) - set(self.workers()) if f"(pid {pid}) is ready" in self.log()} \
                    if not self.respawn else dead
                self.process.send_signal(sig)
            status = self.wait_exit()
            assert status == self.status, f"exit status {status}, expected {self.status}"
            assert not dead, f"workers {sorted(dead)} died while it ran"
            self.check_log()
            wait_for(lambda: not processes_of_session(self.process.pid), self.deadline, "all processes to end")
        except BaseException:
            self.kill()
            self.dump("stop failed")
            raise
        finally:
            self.kill()
            self.cleanup()

    def kill(self):
        """Ends whatever is left of the server, without asking."""
        if self.process is None:
            return
        for pid in [self.process.pid] if self.process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        for pid in processes_of_session(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def cleanup(self):
        for s in self.sockets:
            s.close()
        for name in ("notify", "reports"):
            s = getattr(self, name, None)
            if s is not None:
                s.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def signal(self, sig):
        """Sends it to the master; one that ends the server is followed by stop() at the end of the test."""
        self.ending = self.ending or sig in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
        self.process.send_signal(sig)

    def signal_until(self, sig, pattern):
        """Sends it until the log has the pattern: of requests to stop that come within 0.3 s of each other, one counts."""
        def logged():
            self.signal(sig)
            return re.search(pattern, self.log())
        wait_for(logged, self.deadline, f"{pattern!r} in the log")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def workers(self):
        """Ids of the worker processes that live now."""
        return [pid for pid in children_of(self.process.pid) if name_of(pid) != "tine: mold"]

    def molds(self):
        """Ids of the processes that hold the application for workers to be forked from (app.preload_app)."""
        return [pid for pid in children_of(self.process.pid) if name_of(pid) == "tine: mold"]

    @property
    def pid(self):
        return self.process.pid

    @property
    def address(self):
        """(host, port) of the first inherited socket."""
        return self.sockets[0].getsockname()[:2]

    @property
    def port(self):
        return self.address[1]

    def connect(self, **options):
        if self.tls:
            return TLSConn(self.address, **options)
        return Conn(self.address, **options)

    def get(self, path="/", **options):
        """One GET on a connection of its own."""
        with self.connect() as c:
            return c.request("GET", path, **options)

    # --- what it says ---

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stdout(self):
        return (self.dir / "stdout").read_text(errors="replace")

    def log_mark(self):
        """Where the log ends now, for wait_log(since=)."""
        return len(self.log())

    def wait_log(self, pattern, since=0):
        """Waits until the regular expression matches behind `since`; returns the match."""
        try:
            return wait_for(lambda: re.search(pattern, self.log()[since:], re.S | re.M), self.deadline)
        except AssertionError:
            raise AssertionError(f"no {pattern!r} in the log:\n{self.log()[since:]}") from None

    def check_log(self):
        for line in self.log().splitlines():
            for word in FAULTS:
                assert word not in line or word in self.allow, f"{word!r} in the log: {line}"

    def wait_notified(self, match):
        """Waits for a notify datagram that match(text) accepts; returns it."""
        return self._wait(self.notified, match, "a notify datagram")

    def wait_event(self, match=None, **fields):
        """Waits for a report of the application (apps.report) with these fields; returns and removes it."""
        def fits(event):
            return all(event.get(k) == v for k, v in fields.items()) and (match is None or match(event))
        event = self._wait(self.events, fits, f"a report with {fields}")
        with self.changed:
            self.events.remove(event)
        return event

    def has_event(self, **fields):
        with self.changed:
            return any(all(e.get(k) == v for k, v in fields.items()) for e in self.events)

    def dump(self, title):
        print(f"--- {title}: {' '.join(self.argv())}")
        for path in (self.dir / "tine.ini", self.dir / "stdout", self.log_path):
            if path.exists() and path.stat().st_size:
                text = path.read_text(errors="replace")
                print(f"--- {path.name}\n{text if len(text) < 20000 else '[...]' + text[-20000:]}")

    def _wait(self, queue, match, what):
        def found():
            return next((item for item in queue if match(item)), None)
        end = time.monotonic() + self.deadline
        with self.changed:
            while found() is None:
                if self.process.poll() is not None:
                    # What it sent before its end is in the socket and may not have been read yet.
                    if self.changed.wait_for(lambda: found() is not None, 1):
                        break
                    raise AssertionError(f"tine ended with status {self.process.returncode}, waiting for {what}")
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"deadline is over, still waiting for {what}; have {queue}")
                self.changed.wait(min(left, 0.1))
            return found()

    def _listen(self, name, variable, handler):
        """A datagram socket in the server's folder with a thread that empties it."""
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        s.bind(str(self.dir / name))
        self.env[variable] = str(self.dir / name)
        copy = s.dup()

        def run():
            with copy:
                while True:
                    data = copy.recv(1 << 16)
                    if not data:
                        return
                    with self.changed:
                        handler(data)
                        self.changed.notify_all()
        threading.Thread(target=run, daemon=True).start()
        return _Shut(s)

    def _hear_reports(self):
        """Waits until the thread that listens has read all that was sent before."""
        heard, events = self.heard, self.dir / "events"
        if not events.exists():  # the server was cleaned up
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(MARK, str(events))
        with self.changed:
            assert self.changed.wait_for(lambda: self.heard != heard, self.deadline), "reports are not read"

    def _on_notify(self, data):
        self.notified.append(data.decode(errors="replace"))

    def _on_event(self, data):
        if data == MARK:
            self.heard += 1
        else:
            self.events.append(json.loads(data))


class _Shut:
    """Closing it also ends the thread that reads from the same socket."""

    def __init__(self, s):
        self.socket = s

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
