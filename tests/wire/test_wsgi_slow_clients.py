# SPDX-License-Identifier: BSD-3-Clause
"""Clients of WSGI applications that send or read slowly hold no thread: their bytes wait in files without a name (app.spool),
which come and go with them, in memory that is bounded; who can be waited for is waited for."""

import os
import socket
import zlib
from pathlib import Path

import pytest

from lib.client import Truncated
from lib.procfs import memory_kb
from lib.server import Server
from lib.waiting import wait_for

CASES = "apps.wsgi_cases:app"
PATIENT = {"body_timeout": "600s", "write_timeout": "600s"}


def blocks(n):
    return b"".join(b"%07d\n" % i * 8192 for i in range(n))


@pytest.fixture(params=[1, 4], ids=["inline", "pool"])
def server(request, serve):
    asan = "detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    return serve(CASES, {"app": {"threads": request.param}, "http": PATIENT}, env={"ASAN_OPTIONS": asan})


def files(server):
    """How many files without a name the worker has open."""
    worker, = server.workers()
    found = 0
    for fd in Path(f"/proc/{worker}/fd").iterdir():
        try:
            found += "(deleted)" in os.readlink(fd)
        except OSError:
            pass
    return found


def slow(server, target, version="1.1"):
    c = server.connect(rcvbuf=4096)
    c.send_request("GET", target, version=version)
    c.fill()
    return c


def rest(c):
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return c.read_response().body


# --- requests ---

@pytest.mark.parametrize("head", ["Content-Length: 70000", "Content-Length: 50", "Transfer-Encoding: chunked"])
def test_trickling_uploads_hold_no_thread(server, head):
    slow = [server.connect() for _ in range(8)]
    for c in slow:
        c.send(f"POST /echo HTTP/1.1\r\nHost: t\r\n{head}\r\n\r\n" + ("11170\r\n" if "chunked" in head else "") + "x")
    for _ in range(3):
        for c in slow:
            c.send("x")
        assert server.get("/hello").body == b"hello"
    for c in slow:
        c.close()


def test_clients_that_wait_for_100_hold_half_of_the_threads(serve):
    """The application decides whether to read; the others get their turn when it has, or has not."""
    server = serve(CASES, {"app": {"threads": 4}, "http": PATIENT})
    conns = [server.connect() for _ in range(5)]
    for c in conns:
        c.send("POST /starts_early HTTP/1.1\r\nHost: t\r\nContent-Length: 70000\r\nExpect: 100-continue\r\n\r\n")
    for _ in range(2):
        server.wait_event(path="starts_early", state="running")
    assert server.get("/hello").body == b"hello"
    assert not server.has_event(path="starts_early")
    waiting = list(conns)
    while waiting: # any two of them are answered first
        ready = wait_for(lambda: [c for c in waiting if c.is_open() and c.buffer])
        for c in ready:
            assert c.read_response(interim=True).status == 100
            c.send(b"x" * 70000)
            assert c.read_response().body == b"70000"
            waiting.remove(c)
    for c in conns:
        c.close()


def test_a_large_body_that_comes_fast_needs_no_file(serve):
    """It would start with a full file otherwise. Half of the threads read such bodies; the next one fills a file."""
    server = serve(CASES, {"app": {"threads": 4, "spool": "300k"}, "http": PATIENT})
    head, part = "POST /starts_early HTTP/1.1\r\nHost: t\r\nContent-Length: 400000\r\n\r\n", b"x" * 100000

    def began():
        return sum(e.get("path") == "starts_early" and e["state"] == "running" for e in server.events)

    def starts(c):
        """False: the machine was slow, and its body lies in a file."""
        before = began()
        c.send(head.encode() + part)
        wait_for(lambda: began() > before or files(server), what="its start, or a file")
        return not files(server)
    conns = []
    while len(conns) < 2:
        c = server.connect()
        if starts(c):
            conns.append(c)
        else:
            c.close()
            wait_for(lambda: not files(server), what="the end of the file")
    with server.connect() as third:
        third.send(head.encode() + part)
        wait_for(lambda: files(server) == 1, what="its file")
        assert began() == 2 and server.get("/hello").body == b"hello"
        for c in [*conns, third]:
            c.send(part * 3)
            assert c.read_response().body == b"400000"
    for c in conns:
        c.close()
    wait_for(lambda: files(server) == 0)
    for _ in range(3):
        server.wait_event(path="starts_early")


READS = ["read5", "readline", "readline3", "readlines", "iterate"]


@pytest.mark.parametrize("how", READS)
def test_reads_of_a_body_from_a_file(server, how):
    data = b"".join(b"line %d\n" % i * (i % 7) for i in range(6000)) + b"no end"
    assert len(data) > 150000
    with server.connect() as c:
        got = c.request("POST", f"/reads?how={how}", body=data).json()
        assert "".join(got).encode() == data
        if how != "read5":
            assert all(len(part) <= 3 for part in got) if how == "readline3" else len(got) == data.count(b"\n") + 1
    wait_for(lambda: files(server) == 0)


def test_a_body_in_a_file_that_nobody_reads(server):
    with server.connect() as c:
        assert c.request("POST", "/ignores_body", body=b"x" * 3000000).body == b"not read"
        assert c.request("GET", "/hello").body == b"hello"
    wait_for(lambda: files(server) == 0)


def test_a_client_that_leaves_takes_its_file_along(server):
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n").send(b"x" * 900000)
        wait_for(lambda: files(server) == 1)
    wait_for(lambda: files(server) == 0)


def test_more_uploads_than_files_may_hold(serve):
    """Sixteen times app.spool: the others are read while they come, two at a time."""
    server = serve(CASES, {"app": {"threads": 4, "spool": "200k"}, "http": PATIENT})
    piece = os.urandom(180000)
    conns = [server.connect() for _ in range(40)]
    for c in conns:
        c.send("POST /sums HTTP/1.1\r\nHost: t\r\nContent-Length: 360000\r\n\r\n").send(piece)
    assert server.get("/hello").body == b"hello"
    for c in conns:
        c.send(piece)
    for c in conns:
        assert c.read_response().json()[:2] == [360000, zlib.crc32(piece * 2)]
        c.close()
    wait_for(lambda: files(server) == 0)


# --- answers ---

@pytest.mark.parametrize("target, version", [("/numbered?n=100", "1.1"), ("/numbered?n=100&length=1", "1.1"),
                                             ("/numbered?n=100", "1.0")])
def test_slow_readers_hold_no_thread(server, target, version):
    worker, = server.workers()
    before = memory_kb(worker)
    readers = [slow(server, target, version) for _ in range(6)]
    for _ in readers: # all of it was given, and close() called, though nobody reads
        assert server.wait_event(path="numbered", closed=1)["given"] == 101
    assert server.get("/hello").body == b"hello"
    assert memory_kb(worker) - before < 12 << 10
    for c in readers:
        assert rest(c) == blocks(100)
        c.close()
    wait_for(lambda: files(server) == 0)
    assert not server.has_event(path="numbered")


@pytest.mark.parametrize("threads", [1, 4])
def test_compressed_answers_to_slow_readers(serve, threads):
    server = serve("apps.wsgi_cases:app", {"app": {"threads": threads}, "http": {**PATIENT, "compress": "gzip", "compress_level": "1"}})
    with server.connect(rcvbuf=4096) as c:
        c.send_request("GET", "/noise?n=100", headers=["Accept-Encoding: gzip"])
        assert server.wait_event(path="noise", closed=1)["given"] == 101
        assert server.get("/hello").body == b"hello"
        data = zlib.decompress(rest(c), 31)
        assert len(data) == 100 * 65536 and server.wait_event(path="noise", crc=zlib.crc32(data))


def test_a_reader_that_is_sometimes_slow(server):
    """The application is ahead, then behind, then ahead."""
    with slow(server, "/numbered?n=200") as c:
        server.wait_event(path="numbered", closed=1)
        body = c.read_until(b"0000020\n")
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        c.buffer = body + c.buffer
        assert c.read_response().body == blocks(200)
        assert c.request("GET", "/hello").body == b"hello"


def test_an_endless_answer_waits_for_its_reader(serve):
    for threads in (1, 4):
        server = serve(CASES, {"app": {"threads": threads, "spool": "1m"}, "http": PATIENT})
        with slow(server, "/endless") as c:
            c.read_exactly(1000000)
            wait_for(lambda: files(server) >= 1)
        event = server.wait_event(path="endless", closed=1)
        assert event["given"] * 65536 < 24 << 20


def test_an_answer_that_breaks_behind_what_waits(server):
    server.allow.add("Traceback")
    for version in ("1.1", "1.0"):
        with slow(server, "/numbered?n=100&fails=90", version) as c:
            server.wait_event(path="numbered", closed=1)
            with pytest.raises((Truncated, ConnectionResetError)):
                if version == "1.1":
                    rest(c)
                else:
                    while c.fill():
                        pass
                    raise AssertionError("it looks whole")
    wait_for(lambda: files(server) == 0)


def test_a_reader_that_leaves_takes_its_file_along(server):
    c = slow(server, "/numbered?n=100")
    server.wait_event(path="numbered", closed=1)
    wait_for(lambda: files(server) == 1)
    c.reset()
    wait_for(lambda: files(server) == 0)


@pytest.mark.parametrize("threads", [1, 4])
def test_without_files_the_application_waits(serve, threads):
    server = serve(CASES, {"app": {"threads": threads, "spool": "0"}, "http": PATIENT})
    with slow(server, "/numbered?n=100") as c:
        assert not server.has_event(path="numbered") and files(server) == 0
        assert rest(c) == blocks(100)
    assert server.wait_event(path="numbered", closed=1)["given"] == 101
    with server.connect() as c:
        c.send("POST /sums HTTP/1.1\r\nHost: t\r\nContent-Length: 300000\r\n\r\n").send(b"x" * 300000)
        assert c.read_response().json()[0] == 300000


@pytest.mark.parametrize("threads", [1, 4])
def test_where_no_file_can_be_had(tmp_path, threads):
    with Server(CASES, {"app": {"threads": threads}, "http": PATIENT}, env={"TMPDIR": str(tmp_path / "none")}) as server:
        with slow(server, "/numbered?n=100") as c:
            assert rest(c) == blocks(100)
        server.wait_event(path="numbered", closed=1)
        with server.connect() as c:
            c.send("POST /sums HTTP/1.1\r\nHost: t\r\nContent-Length: 300000\r\n\r\n").send(b"x" * 300000)
            assert c.read_response().json()[0] == 300000
        server.wait_log("no file in TMPDIR for what waits for slow clients .No such file or directory.: it is kept in memory")


def test_each_event_leaves_at_once(server, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with server.connect() as c:
        c.send_request("GET", f"/events?fifo={fifo}")
        with open(fifo, "w") as tell:
            for i in range(20):
                tell.write(f"{i}\n")
                tell.flush()
                assert c.read_until(b"\n\n\r\n").endswith(b"data: %d\n\n\r\n" % i)
        c.read_until(b"0\r\n\r\n")
    server.wait_event(path="events", closed=1)


@pytest.fixture(params=["clear", "tls", "h2"])
def burst(request, serve, tmp_path):
    """burst(threads) -> (tell, read): tell(n) has the application give n pieces, read(n) what came of so many bytes."""
    closing = []

    def opened(threads):
        fifo = tmp_path / f"fifo{threads}"
        os.mkfifo(fifo)
        options = {"tls": {"tls": True}, "h2": {"flags": "h2c"}}.get(request.param, {})
        server = serve(CASES, {"app": {"threads": threads}, "http": PATIENT}, **options)
        if request.param == "h2":
            pytest.importorskip("hpack")
            from lib.h2 import H2
            h = H2(server.connect())
            closing.append(h.conn)
            stream = h.request(path=f"/bursts?fifo={fifo}")

            def read(n):
                h.until(lambda: len(h.answers[stream].body) >= n)
                return bytes(h.answers[stream].body[:n])
        else:
            c = server.connect()
            closing.append(c)
            c.send_request("GET", f"/bursts?fifo={fifo}", version="1.0")
            found = b""

            def read(n):
                nonlocal found
                if not found:
                    c.read_until(b"\r\n\r\n")
                while len(found) < n:
                    found += c.read_exactly(n - len(found))
                return found
        tell = open(fifo, "w")
        closing.append(tell)
        return tell, read
    yield opened
    for each in reversed(closing):
        each.close()


@pytest.mark.parametrize("threads", [1, 4])
def test_small_pieces_leave_before_the_application_waits(burst, threads):
    """However fast they came before."""
    tell, read = burst(threads)
    n = 0
    for more in (1, 2, 100, 1, 1, 3000, 2, 50):
        tell.write(f"{more}\n")
        tell.flush()
        n += more
        assert read(n * 7) == b"".join(b"%06d\n" % i for i in range(1, n + 1))


def test_http2_bodies_and_answers(serve):
    pytest.importorskip("hpack")
    from lib.h2 import H2
    for threads in (1, 4):
        server = serve(CASES, {"app": {"threads": threads}, "http": PATIENT}, flags="h2c")
        with H2(server.connect(), windows=False, send_settings={4: 0}) as h:
            streams = [h.request(path="/numbered?n=100") for _ in range(6)]
            for _ in streams:
                assert server.wait_event(path="numbered", closed=1)["given"] == 101
            assert server.get("/hello").body == b"hello"
            h.windows = True
            h.update(0, (1 << 31) - 1 - 65535)
            for stream in streams:
                h.update(stream, (1 << 31) - 1)
                assert h.answer(stream).body == blocks(100)
            upload = h.request("POST", "/sums", end=False)
            piece = os.urandom(16384)
            for at in range(0, 1 << 20, 16384):
                h.until(lambda: 65535 + sum(n for s, n in h.updates if s == upload) >= at + 16384)
                h.data(upload, piece, end=at + 16384 == 1 << 20)
            h.update(upload, 1000)
            assert h.answer(upload).body.startswith(b"[1048576, %d, " % zlib.crc32(piece * 64))
        wait_for(lambda: files(server) == 0)
