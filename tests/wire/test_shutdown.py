# SPDX-License-Identifier: BSD-3-Clause
"""What a graceful stop does to idle, active and new connections."""

import signal

import pytest

from lib.server import Server


def test_idle_connections_are_closed_at_shutdown():
    with Server("turns", {"http": {"keepalive": "60s", "header_timeout": "60s"}}) as server:
        idle, fresh = server.connect(), server.connect()
        with idle, fresh:
            assert idle.request("GET", "/quick?a=1").body == b"quick"
            server.signal(signal.SIGTERM)
            idle.expect_close()
            fresh.expect_close()
            assert server.wait_exit() == 0


def test_active_request_finishes_and_says_close():
    with Server("turns", {"http": {"keepalive": "60s"}}) as server:
        with server.connect() as c:
            c.send_request("GET", "/slow?s=1").send_request("GET", "/quick?late=1")
            server.wait_event(path="slow")
            server.signal(signal.SIGTERM)
            r = c.read_response()
            assert r.body == b"slow" and r.closes
            assert c.read_to_end() == b""
            assert server.wait_exit() == 0


def test_body_that_is_still_coming_is_read_at_shutdown():
    """A request in flight is one whose head was taken: its upload may finish."""
    with Server("bodies") as server:
        with server.connect() as c:
            c.send("POST /echo HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
            assert c.read_response(interim=True).status == 100
            server.signal(signal.SIGTERM)
            server.wait_notified(lambda text: "STOPPING=1" in text)
            c.send("0123456789")
            assert c.read_response().body == b"0123456789"
            c.expect_close()
            assert server.wait_exit() == 0


def test_request_that_never_ends_is_cancelled():
    with Server("turns", {"server": {"graceful_timeout": "1s"}}) as server:
        with server.connect() as c:
            c.send_request("GET", "/wait?gate=never")
            server.wait_event(path="wait", gate="never")
            server.signal(signal.SIGTERM)
            assert server.wait_exit() == 0


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop_does_not_wait(sig):
    with Server("turns", {"server": {"graceful_timeout": "600s"}}) as server:
        with server.connect() as c:
            c.send_request("GET", "/wait?gate=never")
            server.wait_event(path="wait", gate="never")
            server.signal(sig)
            assert server.wait_exit() == 0
            c.read_to_end()


def test_stream_finishes_at_shutdown():
    """A long answer to a slow reader is sent to its end."""
    with Server("answers") as server:
        n = 20 << 20
        with server.connect(rcvbuf=16384) as c:
            c.send_request("GET", f"/big?n={n}&sized=1")
            c.read_until(b"\r\n\r\n")
            server.signal(signal.SIGTERM)
            server.wait_notified(lambda text: "STOPPING=1" in text)
            assert len(c.read_exactly(n)) == n
            c.expect_close()
            assert server.wait_exit() == 0
