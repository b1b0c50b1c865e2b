# SPDX-License-Identifier: BSD-3-Clause
"""http.body_min_rate: a client that sends or reads its bytes one by one is cut off, in HTTP/1 and HTTP/2, ASGI and WSGI; one
that we keep waiting ourselves is not."""

import select
import socket
import time

import pytest

from lib.client import Truncated
from lib.logged import LOG, logged

pytest.importorskip("hpack")

from lib.h2 import H2  # noqa: E402
from lib.h2frames import CANCEL  # noqa: E402

SLOW = {**LOG, "http": {"body_timeout": "1s", "write_timeout": "1s", "body_min_rate": "10k"}}
PATIENT = {**LOG, "http": {"body_timeout": "2s", "write_timeout": "2s", "body_min_rate": "0"}}


def pause(seconds):
    """The slowness of a slow client: what is tested, never a wait for something to be ready."""
    select.select([], [], [], seconds)


def trickle(c, data, step=0.1, until=30):
    """Sends a byte now and then until the server has something to say; how many were sent."""
    end = time.monotonic() + until
    for i in range(len(data)):
        c.send(data[i:i + 1])
        if select.select([c.socket], [], [], step)[0] or time.monotonic() > end:
            return i + 1
    return len(data)


def expect_408(c):
    r = c.read_response()
    assert r.status == 408 and r.closes
    c.expect_close()


# --- requests ---

@pytest.mark.parametrize("head", ["Content-Length: 70000", "Transfer-Encoding: chunked"])
def test_a_trickle_of_a_body_is_cut_off(serve, head):
    """No pause is as long as body_timeout, and still it ends."""
    server = serve("pace", SLOW)
    with server.connect() as c:
        c.send(f"POST /echo HTTP/1.1\r\nHost: t\r\n{head}\r\n\r\n" + ("11170\r\n" if "chunked" in head else ""))
        assert trickle(c, b"x" * 1000) < 1000
        expect_408(c)
    assert set(logged(server, "/echo")) == {"408"}


def test_a_trickle_of_small_chunks(serve):
    """What stands around the bytes pays for nothing."""
    server = serve("pace", {**SLOW, "http": {**SLOW["http"], "body_min_rate": "100"}})
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            c.send("1;extension=of-a-chunk\r\nx\r\n")
            if select.select([c.socket], [], [], 0.05)[0]:
                break
        expect_408(c)


def test_an_answer_that_has_begun_is_cut(serve):
    server = serve("pace", SLOW)
    with server.connect() as c:
        c.send("POST /answers_first HTTP/1.1\r\nHost: t\r\nContent-Length: 70000\r\n\r\n")
        assert b"first" in c.read_until(b"first\r\n")
        assert trickle(c, b"x" * 1000) < 1000
        assert b"0\r\n\r\n" not in c.read_to_end()


@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi(serve, threads):
    server = serve("apps.wsgi_cases:app", {**SLOW, "app": {"threads": threads}})
    for n, expect in ((70000, ""), (50, ""), (70000, "Expect: 100-continue\r\n")):
        with server.connect() as c:
            c.send(f"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\n{expect}\r\n")
            if expect:
                assert c.read_response(interim=True).status == 100
            assert trickle(c, b"x" * 49) < 49
            expect_408(c)
    assert set(logged(server, "/echo")) == {"408"}


def test_http2(serve):
    server = serve("pace", SLOW, flags="h2c")
    with H2(server.connect()) as h:
        stream = h.request("POST", "/echo", end=False)
        for _ in range(1000):
            h.data(stream, b"x")
            if select.select([h.conn.socket], [], [], 0.1)[0]:
                h.read()
            if h.answers[stream].headers:
                break
        assert h.answer(stream).status == 408
        assert h.get("/ok").body == b"ok"


def test_without_a_rate_a_trickle_is_served(serve):
    server = serve("pace", PATIENT)
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 40\r\n\r\n")
        assert trickle(c, b"x" * 40) == 40
        assert c.read_response().body == b"x" * 40


def test_a_client_that_is_fast_enough_is_served_however_long_it_takes(serve):
    """Four seconds, at twice the rate."""
    server = serve("pace", {**SLOW, "http": {**SLOW["http"], "body_min_rate": "500"}})
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10000\r\n\r\n")
        for _ in range(40):
            c.send(b"x" * 250)
            pause(0.1)
        assert c.read_response().body == b"x" * 10000


# --- not the client's fault ---

@pytest.mark.parametrize("version", [1, 2])
def test_a_body_that_the_application_takes_slowly(serve, version):
    server = serve("pace", {**SLOW, "http": {**SLOW["http"], "body_timeout": "300ms", "body_min_rate": "1g"}}, flags="h2c")
    n = 4 << 20
    if version == 1:
        with server.connect() as c:
            c.socket.settimeout(60)
            assert c.request("POST", "/reads_slowly", body=b"x" * n).json() == n
        return
    with H2(server.connect()) as h:
        stream = h.request("POST", "/reads_slowly", end=False)
        for at in range(0, n, 16384):
            h.until(lambda: 65535 + sum(more for s, more in h.updates if s == stream) >= at + 16384 and
                    65535 + sum(more for s, more in h.updates if s == 0) >= at + 16384)
            h.data(stream, b"x" * 16384, end=at + 16384 == n)
        assert h.answer(stream).body == b"%d" % n


def test_a_window_that_other_streams_keep_shut(serve):
    """The window of the connection is used up by bodies that their applications do not take: nothing more can be sent."""
    server = serve("pace", {**SLOW, "http": {**SLOW["http"], "body_timeout": "500ms"}}, flags="h2c")
    with H2(server.connect()) as h:
        last, held, sent = h.request("POST", "/echo", end=False), [], 0
        server.wait_event(path="echo")

        def window():
            return 65535 + sum(more for s, more in h.updates if s == 0) - sent
        h.ping()
        while window() > 0:
            held.append(h.request("POST", "/held", end=False))
            n = min(window(), 65535)
            h.data(held[-1], b"x" * n).ping()
            sent += n
            assert len(held) < 90
        pause(2)
        h.ping()
        assert h.answers[last].headers is None and h.answers[last].reset is None
        with H2(server.connect()) as other:
            assert other.get("/open_gate").status == 200
        h.until(lambda: window() > 0)
        h.data(last, b"late", end=True)
        assert h.answer(last).body == b"late"


def test_a_loop_that_is_held_up(serve):
    """The time in which nobody could have read counts for nobody."""
    server = serve("pace", {**SLOW, "http": {**SLOW["http"], "body_timeout": "2s"}})
    with server.connect() as c, server.connect() as other:
        c.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nx")
        server.wait_event(path="echo")
        assert other.request("GET", "/blocks?s=3").body == b"blocked"
        c.send("yz!")
        assert c.read_response().body == b"xyz!"


# --- answers ---

def slow_reader(server, target):
    c = server.connect(rcvbuf=8192)
    c.send_request("GET", target)
    c.read_until(b"\r\n\r\n")
    return c


def test_a_client_that_reads_byte_by_byte_is_cut(serve):
    server = serve("pace", {**SLOW, "http": {**SLOW["http"], "body_min_rate": "10m"}, "app": {"asgi_spec_version": "2.5"}})
    with slow_reader(server, "/large?n=50000000") as c:
        with pytest.raises((Truncated, ConnectionResetError)):
            for _ in range(200):
                c.read_exactly(8192)
                pause(0.1)
        assert server.wait_event(path="large")["cut"]


def test_a_slow_reader_is_not_taken_for_one_that_reads_nothing(serve):
    """It takes less than the socket needs to become writable, but it takes."""
    server = serve("pace", PATIENT)
    n = 5000000
    with slow_reader(server, f"/large?n={n}") as c:
        for _ in range(40):
            n -= len(c.read_exactly(4000))
            pause(0.1)
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        assert len(c.read_exactly(n)) == n


def test_http2_windows_that_open_byte_by_byte(serve):
    """Of a stream, and of the connection."""
    server = serve("pace", SLOW, flags="h2c")
    for stream_shut in (True, False):
        with H2(server.connect(), windows=False, send_settings={4: 0 if stream_shut else 1 << 30}) as h:
            stream = h.request(path="/large?n=1000000")
            for _ in range(200):
                h.update(stream if stream_shut else 0, 1)
                pause(0.05)
                while h.conn.buffer or select.select([h.conn.socket], [], [], 0)[0]:
                    h.read()
                if h.answers[stream].reset is not None:
                    break
            assert h.answers[stream].reset == CANCEL
