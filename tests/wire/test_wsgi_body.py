# SPDX-License-Identifier: BSD-3-Clause
"""Bodies of requests to WSGI applications, slow clients, clients that go away: wsgi.input, early start, close()."""

import json
import os
import signal
import socket
import zlib

import pytest

from lib.places import NO_GREENLETS
from lib.procfs import memory_kb
from lib.server import Server
from lib.waiting import wait_for

CASES = "apps.wsgi_cases:app"
LINES = b"one\ntwo\n\nno end"


@pytest.fixture(params=[1, 4], ids=["inline", "pool"])
def server(request, serve):
    asan = "detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    return serve(CASES, {"app": {"threads": request.param}, "http": {"body_timeout": "600s", "write_timeout": "600s"}},
                 env={"ASAN_OPTIONS": asan})


READS = {
    "read5": ["one\nt", "wo\n\nn", "o end"], "readline": ["one\n", "two\n", "\n", "no end"],
    "readline3": ["one", "\n", "two", "\n", "\n", "no ", "end"], "readlines": ["one\n", "two\n", "\n", "no end"],
    "hint": ["one\n", "two\n", "\n", "no end"], "iterate": ["one\n", "two\n", "\n", "no end"],
    "mixed": ["", "o", "ne\n", "two\n\nno end", "", ""],
}


@pytest.mark.parametrize("how", READS)
def test_ways_to_read(server, how):
    with server.connect() as c:
        assert c.request("POST", f"/reads?how={how}", body=LINES).json() == READS[how]
        assert c.request("POST", f"/reads?how={how}", chunks=[bytes([b]) for b in LINES]).json() == READS[how]
        assert c.request("GET", f"/reads?how={how}").json() == ([""] * 6 if how == "mixed" else [])


@pytest.mark.parametrize("how", READS)
def test_reads_of_a_body_that_comes_slowly(server, how):
    """The application has started, by Expect: 100-continue, and waits inside its reads."""
    with server.connect() as c:
        c.send(f"POST /reads?how={how} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(LINES)}\r\nExpect: 100-continue\r\n\r\n")
        assert c.read_response(interim=True).status == 100
        for byte in LINES:
            c.send(bytes([byte]))
        assert c.read_response().json() == READS[how]


def starts(server, c, n):
    """A request whose application runs without its body: it waits for 100 (Continue)."""
    c.send(f"POST /starts_early HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\nExpect: 100-continue\r\n\r\n")
    assert server.wait_event(path="starts_early", state="running")["thread"] == "pool"
    assert c.read_response(interim=True).status == 100
    return c


def test_continue_comes_with_the_first_read(server):
    with server.connect() as c:
        c.send("POST /ignores_body HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        r = c.read_response()
        assert r.status == 200 and not r.interim and r.body == b"not read"


def test_small_body_is_here_before_the_application_starts(server):
    with server.connect() as c:
        c.send("POST /starts_early HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhalf")
        assert server.get("/hello").body == b"hello" and not server.has_event(path="starts_early")
        c.send("!")
        assert c.read_response().body == b"5"
        assert server.wait_event(path="starts_early", state="running")


@pytest.mark.parametrize("head, around", [("Content-Length: 1000000", ("", "")),
                                          ("Transfer-Encoding: chunked", ("f4240\r\n", "\r\n0\r\n\r\n"))])
def test_large_body_is_here_before_the_application_starts(server, head, around):
    """In a file without a name."""
    with server.connect() as c:
        c.send(f"POST /starts_early HTTP/1.1\r\nHost: t\r\n{head}\r\n\r\n{around[0]}").send(b"x" * 999999)
        assert server.get("/hello").body == b"hello" and not server.has_event(path="starts_early")
        c.send(b"y" + around[1].encode())
        assert c.read_response().body == b"1000000"
        assert server.wait_event(path="starts_early", state="running")


@pytest.mark.parametrize("threads", [1, 4])
def test_body_that_the_file_has_no_room_for_is_read_while_it_comes(serve, threads):
    server = serve(CASES, {"app": {"threads": threads, "spool": "200k"}})
    for n in (1000000, 10000000):
        with server.connect() as c:
            c.send(f"POST /sums HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\n\r\n")
            piece = os.urandom(250000)
            for _ in range(n // len(piece)):
                c.send(piece)
            assert c.read_response().json()[:3] == [n, zlib.crc32(piece * (n // len(piece))), False]
        with server.connect() as c:
            c.send(f"POST /starts_early HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\n\r\n").send(b"x" * 400000)
            assert server.wait_event(path="starts_early", state="running")["thread"] == "pool"
            c.send(b"x" * (n - 400000))
            assert c.read_response().body == b"%d" % n


def test_body_that_nobody_reads(server):
    with server.connect() as c:
        assert c.request("POST", "/ignores_body", body=b"x" * 30000).body == b"not read"
        assert c.request("GET", "/hello").body == b"hello"
    with server.connect() as c:
        c.send_request("POST", "/ignores_body", body=b"x" * 100000)
        assert c.read_response().body == b"not read"


def test_upload_of_64_mb_in_bounded_memory(server):
    piece = os.urandom(1 << 20)
    with server.connect() as c:
        c.send(f"POST /sums HTTP/1.1\r\nHost: t\r\nContent-Length: {64 << 20}\r\n\r\n")
        worker, = server.workers()
        before, crc = memory_kb(worker, "VmHWM"), 0
        for _ in range(64):
            c.send(piece)
            crc = zlib.crc32(piece, crc)
        size, got, inline, peak = c.read_response().json()
    assert (size, got, inline) == (64 << 20, crc, False)
    assert peak - before < 24 << 10


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_client_gone_inside_the_body(server, how):
    c = server.connect()
    starts(server, c, 1000000).send("part")
    getattr(c, how)()
    assert server.wait_event(path="starts_early", state="gone")["error"] is True
    c.close()
    assert server.get("/hello").body == b"hello"


def test_client_gone_before_the_application_starts(server):
    with server.connect() as c:
        c.send("POST /starts_early HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\npart")
    assert server.get("/hello").body == b"hello"
    assert not server.has_event(path="starts_early")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_close_is_called_once_when_the_client_is_gone(server, how):
    c = server.connect(rcvbuf=4096)
    c.send_request("GET", "/endless")
    c.read_exactly(100000)
    getattr(c, how)()
    assert server.wait_event(path="endless")["closed"] == 1
    assert server.get("/hello").body == b"hello"
    assert not server.has_event(path="endless")


def test_memory_is_bounded_when_a_client_reads_nothing(server):
    worker, = server.workers()
    before = memory_kb(worker)
    with server.connect(rcvbuf=4096) as c:
        c.send_request("GET", "/endless")
        c.read_exactly(1000000)
        assert memory_kb(worker) - before < 16 << 10
    server.wait_event(path="endless", closed=1)


def test_write_to_a_client_that_is_gone(server):
    c = server.connect(rcvbuf=4096)
    c.send_request("GET", "/writes_much?n=10000")
    c.read_exactly(1000)
    c.reset()
    assert server.wait_event(path="writes_much")["error"] is True
    assert server.get("/hello").body == b"hello"


def blocks(n):
    return b"".join(b"%07d\n" % i * 8192 for i in range(n))


EXPECTED = {
    "length": lambda n: blocks(n), "list": lambda n: blocks(n) + b"returned", "parts": lambda n: blocks(n) + b"first\nlast\n",
    "inside": lambda n: blocks(n) + b"first\n" + blocks(n) + b"last\n" + b"at the end\n" * 100000,
}


@NO_GREENLETS
@pytest.mark.parametrize("then, version", [*((then, "1.1") for then in EXPECTED), ("list", "1.0")])
def test_write_to_a_slow_client_holds_nobody_up(tmp_path, then, version):
    """threads = 1. The first time what write() gives lies in a file without a name; from then on a thread writes."""
    n = 100
    asan = "detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    with Server(CASES, {"app": {"threads": 1}, "http": {"write_timeout": "600s"}, "mount:/c": {"module": "builtin:hello"}},
                env={"TMPDIR": str(tmp_path), "ASAN_OPTIONS": asan}) as server:
        worker, = server.workers()
        before = memory_kb(worker)
        for on_loop in (True, False):
            with server.connect(rcvbuf=4096) as slow, server.connect() as waits:
                slow.send_request("GET", f"/writes_ahead?n={n}&then={then}", version=version)
                if on_loop:
                    assert server.wait_event(path="writes_ahead")["on_loop"]
                else:
                    slow.fill()
                waits.send_request("GET", "/hello")
                assert waits.read_response().body == b"hello"
                if then in ("parts", "inside"):
                    assert server.wait_event(path="writes_ahead", closed=1)
                assert server.get("/c").body == b"Hello, World!"
                assert memory_kb(worker) - before < 8 << 10
                slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                body = slow.read_response().body
                assert body == EXPECTED[then](n)
                if not on_loop:
                    assert not server.wait_event(path="writes_ahead")["on_loop"]
        assert not list(tmp_path.iterdir())


@NO_GREENLETS
def test_no_room_for_what_write_gives(tmp_path):
    """An OSError of its own, not a lost client."""
    config = {"app": {"threads": 1}, "http": {"limit_memory": "1m"}, "websocket": {"max_message_size": "64k"}}
    with Server(CASES, config, env={"TMPDIR": str(tmp_path / "there_is_none")}, allow=("Traceback",)) as server:
        with server.connect(rcvbuf=4096) as slow:
            slow.send_request("GET", "/writes_much?n=1000")
            assert server.wait_event(path="writes_much")["error"] is False
        assert server.get("/hello").body == b"hello"
        server.wait_log(r"OSError: \[Errno 28\]")


def test_pool_serves_beside_a_slow_reader_and_a_slow_upload(serve):
    server = serve(CASES, {"app": {"threads": 4}, "http": {"body_timeout": "600s", "write_timeout": "600s"}})
    with server.connect(rcvbuf=4096) as reader, server.connect() as writer:
        reader.send_request("GET", "/endless")
        reader.read_exactly(1000)
        starts(server, writer, 1000000)
        for _ in range(20):
            assert server.get("/hello").body == b"hello"
    server.wait_event(path="starts_early", state="gone")
    server.wait_event(path="endless", closed=1)


@NO_GREENLETS
def test_pool_runs_as_many_requests_as_it_has_threads(tmp_path):
    fifos = [tmp_path / str(i) for i in range(5)]
    for fifo in fifos:
        os.mkfifo(fifo)
    with Server(CASES, {"app": {"threads": 4}}) as server:
        conns = [server.connect() for _ in fifos]
        for c, fifo in zip(conns[:4], fifos):
            c.send_request("GET", f"/waits?fifo={fifo}")
        for _ in range(4):
            server.wait_event(path="waits")
        conns[4].send_request("GET", f"/waits?fifo={fifos[4]}")
        for fifo in fifos[:1]:
            fifo.write_text("go")
        server.wait_event(path="waits")
        for fifo in fifos[1:]:
            fifo.write_text("go")
        assert [c.read_response().body for c in conns] == [b"go"] * 5


def test_one_thread_runs_one_request_at_a_time(serve):
    """While the upload is in the application, the next request waits; it goes on when the upload is done, or gone."""
    server = serve(CASES, {"app": {"threads": 1}, "http": {"body_timeout": "600s", "write_timeout": "600s"}})
    for finish in (True, False):
        with server.connect() as upload, server.connect() as other, server.connect() as gone:
            starts(server, upload, 100000)
            gone.send_request("GET", "/stream")
            other.send_request("GET", "/hello")
            other.expect_no_more()
            gone.close()
            if finish:
                upload.send(b"x" * 100000)
                assert upload.read_response().body == b"100000"
            else:
                upload.close()
                server.wait_event(path="starts_early", state="gone")
            assert other.read_response().body == b"hello"


@pytest.mark.parametrize("threads", [1, 4])
def test_body_timeout(serve, threads):
    server = serve(CASES, {"app": {"threads": threads}, "http": {"body_timeout": "1s"}})
    with server.connect() as c:
        starts(server, c, 100000).send("part")
        assert c.read_response().status == 408
        server.wait_event(path="starts_early", state="gone")
    with server.connect() as c:
        c.send("POST /starts_early HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\npart")
        assert c.read_response().status == 408


@pytest.mark.parametrize("threads", [1, 4])
def test_limit_of_the_body(serve, threads):
    server = serve(CASES, {"app": {"threads": threads}, "http": {"limit_request_body": "100k"}})
    with server.connect() as c:
        c.send("POST /starts_early HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        server.wait_event(path="starts_early", state="running")
        assert c.read_response(interim=True).status == 100
        c.send("11000\r\n" + "x" * 0x11000 + "\r\n11000\r\n" + "x" * 0x11000)
        assert c.read_response().status == 413
        server.wait_event(path="starts_early", state="gone")
    with server.connect() as c:
        c.send("POST /starts_early HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n22000\r\n" + "x" * 0x22000)
        assert c.read_response().status == 413
    assert not server.has_event(path="starts_early")


@pytest.mark.parametrize("threads", [1, 4])
def test_drain_waits_for_the_application(tmp_path, threads):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with Server(CASES, {"app": {"threads": threads}}) as server, server.connect() as c:
        c.send_request("GET", f"/waits?fifo={fifo}")
        server.wait_event(path="waits")
        server.signal(signal.SIGTERM)
        server.wait_notified(lambda text: "STOPPING=1" in text)
        fifo.write_text("last")
        assert c.read_response().body == b"last"


@NO_GREENLETS
def test_graceful_timeout_leaves_what_does_not_end(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with Server(CASES, {"app": {"threads": 2}, "server": {"graceful_timeout": "1s"}}) as server, server.connect() as c:
        c.send_request("GET", f"/waits?fifo={fifo}")
        server.wait_event(path="waits")
        server.signal(signal.SIGTERM)
        server.wait_log('Request still in the application: "GET /waits')
        assert c.read_response().status == 503
        c.expect_close()


def test_access_log(serve):
    server = serve(CASES, {"app": {"threads": 2}, "log": {"accesslog": "-"}})
    server.get("/hello?logged")
    wait_for(lambda: '"GET /hello?logged HTTP/1.1" 200 5' in server.stdout())


def test_json(serve):
    assert json.loads(serve(CASES, {"app": {"threads": 4}}).get("/environ").body)
