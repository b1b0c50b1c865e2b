# SPDX-License-Identifier: BSD-3-Clause
"""The time-outs of [http]: each fires, each tells the application what it must know, and none fires while work goes on."""

import select

import pytest


def pace(seconds):
    """The slowness of a slow client: what is tested, never a wait for something to be ready."""
    select.select([], [], [], seconds)


def trickle(conn, data, pause=0.1):
    """Sends byte by byte, a little time between, until all is sent or the server answers or closes; the bytes sent."""
    for i, octet in enumerate(data):
        try:
            conn.send(bytes([octet]))
        except ConnectionError:
            return i
        if select.select([conn.socket], [], [], pause)[0]:
            return i + 1
    return len(data)


def expect_408_or_close(conn):
    data = conn.read_to_end()
    if data:
        assert data.startswith(b"HTTP/1.1 408 ") and b"connection: close" in data.lower()


def test_header_timeout(serve):
    server = serve("bodies", {"http": {"header_timeout": "500ms"}})
    with server.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: te")
        r = c.read_response()
        assert r.status == 408 and r.closes
        c.expect_close()


def test_header_timeout_is_for_the_whole_head(serve):
    """A byte now and then does not win time."""
    server = serve("bodies", {"http": {"header_timeout": "500ms"}})
    data = b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"y" * 500
    with server.connect() as c:
        assert trickle(c, data) < len(data)
        expect_408_or_close(c)


def test_header_timeout_of_a_second_request(serve):
    server = serve("bodies", {"http": {"header_timeout": "500ms", "keepalive": "60s"}})
    with server.connect() as c:
        assert c.request("POST", "/echo", body=b"x").body == b"x"
        c.send("GET / HT")
        expect_408_or_close(c)


def test_body_timeout(serve):
    server = serve("bodies", {"http": {"body_timeout": "500ms"}})
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
        r = c.read_response()
        assert r.status == 408 and r.closes
        c.expect_close()


def test_body_timeout_tells_the_application(serve):
    server = serve("gone", {"http": {"body_timeout": "500ms"}})
    with server.connect() as c:
        c.send("POST /receives HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
        event = server.wait_event(path="receives", state="over")
        assert event["got"][-1] == "http.disconnect" and event["again"] == "http.disconnect"
        expect_408_or_close(c)


def test_body_timeout_is_for_each_pause(serve):
    """Two seconds altogether, but no pause as long as the time-out."""
    server = serve("bodies", {"http": {"body_timeout": "1500ms", "body_min_rate": "0"}})
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n")
        assert trickle(c, b"y" * 20) == 20
        assert c.read_response().body == b"y" * 20


def test_body_timeout_only_while_somebody_waits(serve):
    """An application that does not read does not time its client out."""
    server = serve("turns", {"http": {"body_timeout": "300ms"}})
    with server.connect() as c:
        c.send("POST /slow?s=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
        assert c.read_response().body == b"slow"


def test_write_timeout(serve):
    """The client takes nothing of an endless answer: the connection is cut and send() raises."""
    server = serve("gone", {"app": {"asgi_spec_version": "2.5"}, "http": {"write_timeout": "500ms"}})
    with server.connect(rcvbuf=16384) as c:
        c.send_request("GET", "/streams?tag=write")
        event = server.wait_event(path="streams", state="over", tag="write")
        assert event["error"][0] is True


def test_write_timeout_is_for_no_progress(serve):
    """A slow reader that does take something is not cut."""
    server = serve("answers", {"http": {"write_timeout": "1500ms"}})
    n = 4 << 20
    with server.connect(rcvbuf=16384) as c:
        c.send_request("GET", f"/big?n={n}&sized=1")
        c.read_until(b"\r\n\r\n")
        have = len(c.read_exactly(1000))
        step = n // 20
        while have < n:
            pace(0.1)
            have += len(c.read_exactly(min(step, n - have)))
        assert have == n


def test_keepalive_does_not_count_while_an_answer_is_sent(serve):
    server = serve("answers", {"http": {"keepalive": "300ms"}})
    n = 4 << 20
    with server.connect(rcvbuf=16384) as c:
        c.send_request("GET", f"/big?n={n}&sized=1")
        c.read_until(b"\r\n\r\n")
        pace(1.0)
        assert len(c.read_exactly(n)) == n


@pytest.mark.parametrize("n", [200])
def test_many_slow_heads_do_not_hold_others(serve, n):
    server = serve("bodies", {"http": {"header_timeout": "500ms"}})
    slow = [server.connect().send("GET / HTTP/1.1\r\nX: ") for _ in range(n)]
    try:
        assert server.get("/unread").body == b"unread"
        for c in slow:
            expect_408_or_close(c)
    finally:
        for c in slow:
            c.close()
