# SPDX-License-Identifier: BSD-3-Clause
"""Starts Tine for a test and talks to it over raw sockets; standard library only.

A Server hands its listening sockets down (fd://N), so no port can be lost to somebody else, learns from a READY=1
datagram when it may go on, and when it stops checks exit status, log and left-over processes. A Conn is a client that
believes nothing: every answer goes through a strict parser. It must never sleep to wait for something that can be
observed, and every wait has a deadline.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APPS = ROOT / "tests" / "apps"

# Seconds that any single wait may last before the test fails; nothing passes or fails by how long it took within them.
DEADLINE = float(os.environ.get("TINE_TEST_DEADLINE", "20"))

# What must not be in any error log unless the test expects it.
FAULTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "UndefinedBehaviorSanitizer", "runtime error: ",
          "Assertion `", "[CRITICAL]", "Traceback", "was never awaited", "was never retrieved", "Exception ignored",
          "Fatal Python error")


class Truncated(AssertionError):
    """The connection ended inside an answer."""


class Malformed(AssertionError):
    """The answer breaks the rules of HTTP/1.1."""


def binary():
    """The tine to test: $TINE_BINARY, or the one of the build directory that the tests run in, or the source's."""
    named = os.environ.get("TINE_BINARY")
    if named:
        return os.path.abspath(named)
    for place in (Path.cwd(), ROOT):
        if os.access(place / "tine", os.X_OK):
            return str(place / "tine")
    raise RuntimeError("no tine binary here: set TINE_BINARY or run in the build directory")


def wait_for(fn, timeout=None, what="condition"):
    """Calls fn until it returns something true, and returns that; AssertionError when the deadline is over."""
    pause = threading.Event()
    end = time.monotonic() + (timeout or DEADLINE)
    while True:
        result = fn()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"deadline is over, still waiting for {what}")
        pause.wait(0.01)


def listening_socket(family=socket.AF_INET, backlog=2048):
    """A listening socket on a port of 127.0.0.1 or ::1 that the kernel chose."""
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    s.listen(backlog)
    return s


def free_port():
    """A port that was free a moment ago, for tests of the server's own binding."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def under_tsan():
    """Whether tine was built with ThreadSanitizer, which holds signals back while a thread calls nothing of the C library."""
    return b"libtsan.so" in Path(binary()).read_bytes()


def sanitized(pid):
    """Whether the process runs under AddressSanitizer: its memory is then mostly the sanitizer's own."""
    return "libasan" in Path(f"/proc/{pid}/maps").read_text()


def processes_of_session(sid):
    """Ids of the living processes (zombies left out) of a session, the leader's own included."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[3]) == sid:
            found.append(int(entry))
    return sorted(found)


def children_of(pid):
    """Ids of the living direct children of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += [int(n) for n in (task / "children").read_text().split()]
        except OSError:
            continue
    return sorted(found)


def name_of(pid):
    """What the kernel calls the process, at most 15 characters; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def memory_kb(pid, what="VmRSS"):
    """A memory figure of /proc/PID/status in kB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB", text, re.M).group(1))


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
            import certs
            flags += " tls"
            self.config["tls"] = {**certs.server().config(), **self.config.get("tls", {}), **(tls if tls is not True else {})}
        if "bind" not in self.config.setdefault("server", {}):
            self.sockets = [listening_socket(family) for _ in range(sockets)]
            self.config["server"]["bind"] = [f"fd://{s.fileno()}{flags and ' ' + flags.strip()}" for s in self.sockets]
        self.cwd = cwd or self.dir
        self.env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8", **(env or {}))
        for name in ("WEB_CONCURRENCY", "PORT", "LISTEN_FDS", "LISTEN_PID"):
            if name not in (env or {}):
                self.env.pop(name, None)
        self.env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        self.env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.process = None
        self.ending = False
        self.workers_at_ready = []
        self.notified = []
        self.events = []
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
            self.process = subprocess.Popen(self.argv(), cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=log, start_new_session=True,
                                            pass_fds=[s.fileno() for s in self.sockets])
        return self

    def wait_ready(self):
        """Returns when READY=1 came; AssertionError when the process ended or the deadline is over."""
        self.wait_notified(lambda text: "READY=1" in text.split("\n"))
        self.workers_at_ready = wait_for(lambda: self.workers(), self.deadline, "a worker process")
        return self

    def wait_exit(self):
        """Waits for the process to end by itself and returns its status (negative: signal)."""
        try:
            return self.process.wait(self.deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError("tine did not exit") from None

    def stop(self, sig=signal.SIGTERM):
        """Asks it to end, then checks everything that a clean end has; always gives all resources back."""
        try:
            dead = set()
            if self.process.poll() is None and not self.ending:
                dead = set(self.workers_at_ready) - set(self.workers()) if not self.respawn else dead
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
            from tlsconn import TLSConn
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

    def _on_notify(self, data):
        self.notified.append(data.decode(errors="replace"))

    def _on_event(self, data):
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


class Response:
    """An answer taken apart. framing: none, length, chunked or close; chunks: the sizes on the wire."""

    def __init__(self, version, status, reason, headers):
        self.version, self.status, self.reason, self.headers = version, status, reason, headers
        self.body, self.framing, self.chunks, self.trailers, self.interim = b"", "none", [], [], []
        self.raw_head = b""

    def get_all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name, default=None):
        found = self.get_all(name)
        assert len(found) < 2, f"{name} is there {len(found)} times"
        return found[0] if found else default

    def json(self):
        return json.loads(self.body)

    @property
    def closes(self):
        return "close" in [t.strip().lower() for v in self.get_all("connection") for t in v.split(",")]

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:200]!r}>"


STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2}) ([\t -~\x80-\xff]*)\r\n\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff][\t -~\x80-\xff]*)?)\r\n\Z")
ONCE = {"content-length", "transfer-encoding", "date", "server", "content-type", "location", "etag"}


class Conn:
    """A client connection. `buffer` holds what was received and not used."""

    def __init__(self, address, *, timeout=None, rcvbuf=None, source=None):
        family = socket.AF_UNIX if isinstance(address, (str, bytes, os.PathLike)) else \
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.timeout = timeout or DEADLINE
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(self.timeout)
        self.socket.connect(str(address) if family == socket.AF_UNIX else address)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def name(self):
        """The client's own (host, port)."""
        return self.socket.getsockname()[:2]

    # --- sending ---

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def send_request(self, method="GET", path="/", headers=(), body=None, version="1.1", host="test", chunks=None):
        """Sends a request with a right head; `headers` as pairs or "Name: value" lines."""
        lines = [f"{method} {path} HTTP/{version}"]
        fields = [h if isinstance(h, str) else f"{h[0]}: {h[1]}" for h in headers]
        if host is not None and not any(h.lower().startswith("host:") for h in fields):
            lines.append(f"Host: {host}")
        lines += fields
        data = body.encode() if isinstance(body, str) else body
        if chunks is not None:
            lines.append("Transfer-Encoding: chunked")
            data = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
        elif data is not None:
            lines.append(f"Content-Length: {len(data)}")
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (data or b""))

    def request(self, method="GET", path="/", headers=(), body=None, **options):
        """A request and its answer."""
        self.send_request(method, path, headers, body, **options)
        return self.read_response(method)

    def half_close(self):
        """Ends the sending side; nothing is left to end if the peer has reset the connection."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    # --- receiving ---

    def fill(self, end=None):
        """Receives more into the buffer; False at EOF. ConnectionResetError and TimeoutError come through."""
        if end is not None:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_until(self, mark):
        end = time.monotonic() + self.timeout
        while mark not in self.buffer:
            if not self._fill(end):
                raise Truncated(f"EOF before {mark!r}; have {self.buffer[:500]!r}")
        at = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:at], self.buffer[at:]
        return found

    def read_exactly(self, n):
        end = time.monotonic() + self.timeout
        parts, have = [self.buffer[:n]], len(self.buffer[:n])
        self.buffer = self.buffer[n:]
        while have < n:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(min(n - have, 1 << 20))
            except TimeoutError:
                raise AssertionError(f"deadline is over, {have} of {n} bytes came") from None
            except ConnectionResetError:
                data = b""
            if not data:
                raise Truncated(f"EOF after {have} of {n} bytes; have {b''.join(parts)[-300:]!r}")
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def read_to_end(self):
        """Everything until the peer closes."""
        end = time.monotonic() + self.timeout
        while self._fill(end):
            pass
        found, self.buffer = self.buffer, b""
        return found

    def read_response(self, method="GET", *, interim=None):
        """The next final answer, strictly parsed. 1xx answers go to .interim; interim=True returns the next one itself."""
        before = []
        while True:
            response = self._read_head()
            if 100 <= response.status < 200 and response.status != 101:
                assert not response.get_all("content-length") and not response.get_all("transfer-encoding"), response
                if interim:
                    return response
                before.append(response)
                continue
            response.interim = before
            self._read_body(response, method)
            return response

    def expect_close(self):
        """Nothing more comes and the peer closes (FIN or RST)."""
        rest = self.read_to_end()
        assert rest == b"", f"bytes before the end of the connection: {rest[:500]!r}"

    def expect_no_more(self):
        """No byte is waiting now, and the connection is open."""
        assert self.buffer == b"", f"extra bytes: {self.buffer[:500]!r}"
        self.socket.setblocking(False)
        try:
            data = self.socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        finally:
            self.socket.settimeout(self.timeout)
        raise AssertionError(f"extra bytes: {data[:500]!r}" if data else "the connection was closed")

    def is_open(self):
        """Whether neither EOF nor RST has come; keeps what is received."""
        self.socket.setblocking(False)
        try:
            while True:
                if not self.fill():
                    return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(self.timeout)

    def _fill(self, end):
        try:
            return self.fill(end)
        except TimeoutError:
            raise AssertionError(f"deadline is over; received so far: {self.buffer[:500]!r}") from None
        except ConnectionResetError:
            return False

    def _read_head(self):
        raw = self.read_until(b"\r\n\r\n")
        lines = raw[:-2].splitlines(keepends=True)
        match = STATUS_LINE.match(lines[0])
        if not match:
            raise Malformed(f"bad status line in {raw[:500]!r}")
        version, status, reason = (g.decode("latin-1") for g in match.groups())
        response = Response(version, int(status), reason, self._fields(lines[1:]))
        response.raw_head = raw
        names = [k.lower() for k, _ in response.headers]
        for name in ONCE:
            if names.count(name) > 1:
                raise Malformed(f"{name} more than once in {raw!r}")
        if "content-length" in names and "transfer-encoding" in names:
            raise Malformed(f"content-length and transfer-encoding in {raw!r}")
        return response

    @staticmethod
    def _fields(lines):
        fields = []
        for line in lines:
            match = FIELD_LINE.match(line)
            if not match:
                raise Malformed(f"bad field line {line!r}")
            fields.append((match.group(1).decode(), match.group(2).decode("latin-1").rstrip(" \t")))
        return fields

    def _read_body(self, response, method):
        coding, length = response.get("transfer-encoding"), response.get("content-length")
        if coding is not None and (coding != "chunked" or response.status == 204):
            raise Malformed(f"transfer-encoding {coding!r} with status {response.status}")
        if length is not None and (not re.fullmatch("[0-9]+", length) or response.status == 204):
            raise Malformed(f"content-length {length!r} with status {response.status}")
        if method == "HEAD" or response.status in (101, 204, 304):
            return
        if coding is not None:
            response.framing = "chunked"
            self._read_chunks(response)
        elif length is not None:
            response.framing = "length"
            response.body = self.read_exactly(int(length))
        else:
            response.framing = "close"
            if not response.closes:
                raise Malformed(f"neither length nor chunked nor close: {response.raw_head!r}")
            response.body = self.read_to_end()

    def _read_chunks(self, response):
        parts = []
        while True:
            line = self.read_until(b"\r\n")
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}\r\n", line):
                raise Malformed(f"bad chunk size {line!r}")
            size = int(line, 16)
            if size == 0:
                break
            data = self.read_exactly(size + 2)
            if data[-2:] != b"\r\n":
                raise Malformed(f"no CRLF behind chunk data: {data[-20:]!r}")
            parts.append(data[:-2])
            response.chunks.append(size)
        response.body = b"".join(parts)
        lines = []
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            lines.append(line)
        response.trailers = self._fields(lines)
