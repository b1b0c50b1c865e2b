# SPDX-License-Identifier: BSD-3-Clause
"""Memory of a worker is bounded by its buffers in every protocol: bodies that the application does not take or takes slowly,
answers and files that clients do not read, idle WebSockets. test_bounded_memory.py has the same for plain HTTP/1.1, to the end.

The bounds are of the connections' buffers; one that kept what comes would pass them many times over.
"""

import contextlib
import os
import select
import ssl

import pytest

from lib import certs
from lib.h2 import H2
from lib.h2frames import INITIAL_WINDOW
from lib.procfs import memory_kb, sanitized
from lib.server import Server
from lib.tls import TLSConn
from lib.ws import WS, engines

MB = 1024
TIMES = {"body_timeout": "10m", "write_timeout": "10m", "keepalive": "10m", "header_timeout": "10m"}
QUIET = {"ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}


@contextlib.contextmanager
def serving(app, tls, config=None, warm="/hello", **options):
    """(server, connect(http2=False), grown()): one worker, warm; grown() is how many kB it has more than then."""
    config = {"http": TIMES, "server": {"graceful_timeout": "1s"}, **(config or {})}
    with Server(app, config, tls=tls, flags="" if tls else "h2c", env=QUIET, **options) as s:
        def connect(http2=False, **more):
            if not tls:
                return s.connect(**more)
            return TLSConn(s.address, context=certs.context(alpn=["h2"] if http2 else ["http/1.1"]), **more)
        worker, = s.workers()
        for http2 in (False, True):
            with connect(http2) as c:
                assert (H2(c).get(warm) if http2 else c.request("GET", warm)).status == 200
        before = memory_kb(worker)
        yield s, connect, lambda: memory_kb(worker) - before


def push(c, limit):
    """Sends up to `limit` bytes until the peer takes nothing for half a second; how many it took."""
    data, sent = bytes(1 << 16), 0
    c.socket.setblocking(False)
    try:
        while sent < limit and select.select([], [c.socket], [], 0.5)[1]:
            with contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                sent += c.socket.send(data[:limit - sent])
        return sent
    finally:
        c.socket.settimeout(c.timeout)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_uploads(tls):
    with serving("heavy", tls) as (s, connect, grown), contextlib.ExitStack() as stack:
        conns = [stack.enter_context(connect()) for _ in range(4)]
        for c in conns:
            c.send(f"POST /sips HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 40}\r\n\r\n")
        for c in conns:
            push(c, 16 << 20)
            assert grown() < 8 * MB
        for c in conns:
            c.reset()
        assert sum(s.wait_event(path="sips")["n"] for _ in conns) > 0


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_uploads_over_http2(tls):
    """As much as the windows say; other requests of the connection go on."""
    with serving("heavy", tls) as (s, connect, grown):
        with H2(connect(http2=True)) as h:
            h.ping()
            streams = [h.request("POST", "/ignores_upload", end=False) for _ in range(50)]
            window, left = h.settings[INITIAL_WINDOW], 65535
            for _ in streams:
                s.wait_event(path="ignores_upload", state="waiting")
            for stream in streams:
                h.ping()
                left += sum(n for where, n in h.updates if not where)
                h.updates.clear()
                n = min(window, left)
                left -= n
                h.data(stream, bytes(n))
            h.ping()
            assert grown() < 8 * MB
            assert h.get("/hello").status == 200
            for stream in streams:
                h.reset(stream)
            assert h.get("/hello").status == 200


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_answers_to_readers_that_do_not_read(tls):
    n = 50
    with serving("heavy", tls) as (s, connect, grown), contextlib.ExitStack() as stack:
        conns = [stack.enter_context(connect(rcvbuf=16384)) for _ in range(n)]
        for c in conns:
            c.send_request("GET", "/download?mb=1000")
            c.read_until(b"\r\n\r\n")
        assert s.get("/hello").status == 200 if not tls else True
        # 64 KB of output, the application's own message, and OpenSSL's state.
        assert grown() < (2 * n * MB if sanitized(s.workers()[0]) else n * MB // 2 + 8 * MB)
        for c in conns:
            c.reset()
        for _ in conns:
            assert s.wait_event(path="download")["sent"] < 32 << 20


def test_answers_over_http2_to_readers_that_do_not_read():
    """Ten connections with a hundred streams each; neither their windows nor their sockets take anything."""
    with serving("heavy", False) as (s, connect, grown), contextlib.ExitStack() as stack:
        for _ in range(10):
            h = stack.enter_context(H2(connect(http2=True, rcvbuf=16384), windows=False))
            for _ in range(100):
                h.request(path="/download?mb=1000")
        for c in [connect() for _ in range(3)]:
            with c:
                assert c.request("GET", "/hello").status == 200
        # What each stream keeps: 64 KB of output, and the message of which it is a part.
        assert grown() < (400 if sanitized(s.workers()[0]) else 160) * MB


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_files_to_readers_that_do_not_read(tmp_path, tls):
    n = 50
    with open(tmp_path / "large.bin", "wb") as f:
        f.truncate(1 << 30)
    (tmp_path / "small.txt").write_text("small")
    with serving("heavy", tls, {"static:/files": {"dir": tmp_path}}, warm="/files/small.txt") as (s, connect, grown), contextlib.ExitStack() as stack:
        conns = [stack.enter_context(connect(rcvbuf=16384)) for _ in range(n)]
        for c in conns:
            c.send_request("GET", "/files/large.bin")
            c.read_until(b"\r\n\r\n")
        with connect() as c:
            assert c.request("GET", "/files/small.txt").body == b"small"
        assert grown() < (2 * n * MB if sanitized(s.workers()[0]) else n * MB // 4 + 8 * MB)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_wsgi(tmp_path, tls):
    """Endless answers that nobody reads, and uploads that nobody takes, in all threads of the pool."""
    config = {"app": {"threads": 8, "interface": "wsgi"}}
    with serving("wsgi_cases", tls, config) as (s, connect, grown), contextlib.ExitStack() as stack:
        readers = [stack.enter_context(connect(rcvbuf=16384)) for _ in range(4)]
        for c in readers:
            c.send_request("GET", "/endless")
            c.read_until(b"\r\n\r\n")
        uploads = [stack.enter_context(connect()) for _ in range(3)]
        os.mkfifo(tmp_path / "fifo")
        for c in uploads:
            c.send(f"POST /waits?fifo={tmp_path}/fifo HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 40}\r\n\r\n")
            assert push(c, 64 << 20) < 32 << 20  # app.spool, what lies in memory, and the kernel's buffers
            s.wait_event(path="waits", state="running")
        with connect() as c:
            assert c.request("GET", "/hello").body == b"hello"
        assert grown() < (64 if sanitized(s.workers()[0]) else 16) * MB
        with open(tmp_path / "fifo", "w"):
            for c in [*readers, *uploads]:
                c.reset()


@pytest.mark.parametrize("engine", engines())
def test_idle_websockets_are_cheap(engine):
    n = 400
    config = {"http": TIMES, "websocket": {"engine": engine, "per_message_deflate": "false", "ping_interval": "10m"}}
    with Server("websockets", config, env=QUIET) as s, contextlib.ExitStack() as stack:
        worker, = s.workers()
        stack.enter_context(WS(s.connect(), "/echo")).text("warm").read_text()
        before = memory_kb(worker)
        for _ in range(n):
            stack.enter_context(WS(s.connect(), "/echo")).text("one").read_text()
        each = (memory_kb(worker) - before) / n
        print(f"{each:.1f} kB for each idle WebSocket")
        assert each < (64 if sanitized(worker) else 24)
        assert s.get("/report?id=none").status in (200, 500)
        s.allow.add("Traceback")
