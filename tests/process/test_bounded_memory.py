# SPDX-License-Identifier: BSD-3-Clause
"""A worker's memory is bounded by its buffers, whatever clients send or refuse to take."""

import select
import socket

import pytest

from lib.procfs import memory_kb, sanitized
from lib.server import Server
from lib.waiting import wait_for

MB = 1024


@pytest.fixture
def server():
    # send() raises OSError once the client is gone, which ends the application's answers.
    config = {"http": {"body_timeout": "600s", "write_timeout": "600s"}, "app": {"asgi_spec_version": "2.5"}}
    asan = "detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    with Server("heavy", config, env={"ASAN_OPTIONS": asan}) as s:
        assert s.get("/hello").status == 200
        yield s


def push(conn, data, limit):
    """Sends copies of data until the socket takes nothing for a second; how many bytes it took."""
    conn.socket.setblocking(False)
    sent = 0
    try:
        while sent < limit and select.select([], [conn.socket], [], 1.0)[1]:
            sent += conn.socket.send(data[:limit - sent])
        return sent
    finally:
        conn.socket.settimeout(conn.timeout)


def test_upload_that_is_not_read_is_bounded(server):
    """200 MB: the socket's buffers fill, the client is stopped, the worker keeps its size; read later, all arrives."""
    worker, = server.workers()
    total = 200 << 20
    before = memory_kb(worker)
    with server.connect() as c:
        c.send(f"POST /ignores_upload HTTP/1.1\r\nHost: test\r\nContent-Length: {total}\r\n\r\n")
        server.wait_event(path="ignores_upload", state="waiting")
        chunk = bytes(1 << 20)
        sent = push(c, chunk, total)
        assert sent < total // 2, "the whole upload was taken though nobody read it"
        assert memory_kb(worker) - before < 8 * MB
        assert server.get("/release").body == b"released"
        c.socket.settimeout(60)
        while sent < total:
            n = min(len(chunk), total - sent)
            c.socket.sendall(chunk[:n])
            sent += n
        assert c.read_response().body == str(total).encode()
        assert memory_kb(worker, "VmHWM") - before < 32 * MB


def test_chunked_upload_that_is_not_read_is_bounded(server):
    worker, = server.workers()
    before = memory_kb(worker)
    with server.connect() as c:
        c.send("POST /ignores_upload HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        server.wait_event(path="ignores_upload", state="waiting")
        sent = push(c, b"10000\r\n" + bytes(65536) + b"\r\n", 200 << 20)
        assert sent < 100 << 20
        assert memory_kb(worker) - before < 8 * MB
        assert server.get("/release").body == b"released"
        c.reset()


@pytest.mark.parametrize("part", [100, 65536, 1 << 20])
def test_download_that_is_not_read_is_bounded(server, part):
    """send() waits: the application stays within reach of its client."""
    worker, = server.workers()
    before = memory_kb(worker)
    conns = [server.connect(rcvbuf=16384) for _ in range(10)]
    for c in conns:
        c.send_request("GET", f"/download?mb=100&part={part}")
    for c in conns:
        c.read_until(b"\r\n\r\n")
    assert server.get("/hello").status == 200
    assert memory_kb(worker) - before < 10 * (4 * part / 1024 + 1 * MB) + 8 * MB
    for c in conns:
        c.reset()
    for _ in conns:
        assert server.wait_event(path="download")["sent"] < 50 << 20


def test_slow_reader_gets_everything(server):
    worker, = server.workers()
    before = memory_kb(worker)
    with server.connect(rcvbuf=65536) as c:
        c.socket.settimeout(60)
        c.timeout = 60
        c.send_request("GET", "/download?mb=64")
        c.read_until(b"\r\n\r\n")
        left = 64 << 20
        while left:
            left -= len(c.read_exactly(min(left, 1 << 20)))
            assert memory_kb(worker) - before < 16 * MB
        assert server.wait_event(path="download")["sent"] == 64 << 20


def test_memory_of_a_large_message_is_given_back(server):
    """One message of 64 MB to a client that never reads it: gone with the client."""
    worker, = server.workers()
    before = memory_kb(worker)
    for _ in range(5):
        with server.connect(rcvbuf=16384) as c:
            c.send_request("GET", "/one_message?mb=64")
            c.read_until(b"\r\n\r\n")
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_for(lambda: server.get("/hello").status == 200 and memory_kb(worker) - before < 40 * MB, what="memory to be given back")


def test_idle_connections_are_cheap(server):
    worker, = server.workers()
    with server.connect() as c:
        c.request("GET", "/hello")
    before = memory_kb(worker)
    conns = [server.connect() for _ in range(800)]
    try:
        for c in conns:
            assert c.request("GET", "/hello").status == 200
        # The sanitizer's red zones and shadow come on top, more with newer compilers.
        assert memory_kb(worker) - before < 800 * (16 if sanitized(worker) else 8)
    finally:
        for c in conns:
            c.close()
