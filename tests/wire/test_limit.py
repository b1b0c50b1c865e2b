# SPDX-License-Identifier: BSD-3-Clause
"""[limit]: requests and connections of each client, counted over all workers: 429 with Retry-After (RFC 6585 4, RFC 9110 10.2.3)."""

import contextlib
import os
import signal

import pytest

from lib.server import Server
from lib.waiting import wait_for

RATE = {"requests": "1/h", "burst": 6, "exempt": "127.0.0.9"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("files")
    (path / "a.txt").write_text("a")
    config = {"server": {"workers": 2}, "limit": RATE, "static:/static": {"dir": str(path)}, "http": {"health_path": "/health"},
              "metrics": {"bind": "unix:metrics.sock"}}
    with Server("scope", config, flags="h2c") as s:
        yield s


def one(server, source, path="/", headers=()):
    with server.connect(source=source) as c:
        return c.request("GET", path, headers)


def test_a_client_uses_up_its_burst_over_all_workers(server):
    """Each on its own connection, for the application and for files; then it is told when the next may come."""
    paths = ["/", "/static/a.txt"] * 3
    assert [one(server, "127.0.0.2", p).status for p in paths] == [200] * 6
    r = one(server, "127.0.0.2")
    assert r.status == 429 and r.closes and 3500 < int(r.get("retry-after")) <= 3600
    assert one(server, "127.0.0.2", "/static/a.txt").status == 429
    assert one(server, "127.0.0.2", "/health").status == 200, "probes are not counted"
    assert one(server, "127.0.0.3").status == 200, "others have their own"
    assert [one(server, "127.0.0.9").status for _ in range(10)] == [200] * 10


def test_http2(server):
    h2 = pytest.importorskip("lib.h2")
    with h2.H2(server.connect(source="127.0.0.4")) as h:
        answers = [h.answer(h.request("GET", "/")) for _ in range(7)]
        assert [a.status for a in answers] == [200] * 6 + [429] and int(answers[-1].get("retry-after")) > 3500


def test_clients_behind_a_proxy(server):
    """127.0.0.1 is trusted: those whom it names are the clients; IPv6 by /64; an IPv4 address in IPv6 is that address."""
    def by(client):
        return one(server, "127.0.0.1", headers=[f"X-Forwarded-For: {client}"]).status
    assert [by(f"2001:db8:0:1::{i}") for i in range(1, 8)] == [200] * 6 + [429]
    assert by("2001:db8:0:2::1") == 200
    assert [by("192.0.2.7") for _ in range(3)] == [200] * 3 and [by("::ffff:192.0.2.7") for _ in range(4)] == [200] * 3 + [429]
    assert one(server, "127.0.0.2", headers=["X-Forwarded-For: 192.0.2.8"]).status == 429, "who is no proxy stays who he is"


def test_connections():
    """The third one of a client is answered 429, more than twice as many are closed; when one ends, another is served; those of a worker
    that was killed are forgotten."""
    config = {"server": {"workers": 2}, "limit": {"connections": 2}, "metrics": {"bind": "unix:metrics.sock"}}
    with Server("hello", config, respawn=True) as s, contextlib.ExitStack() as stack:
        def open_one(source="127.0.0.2"):
            return stack.enter_context(s.connect(source=source))
        held = [open_one(), open_one()]
        assert [c.request("GET", "/").status for c in held] == [200, 200]
        third = open_one()
        r = third.request("GET", "/")
        assert r.status == 429 and r.get("retry-after") == "1"
        third.expect_close()
        assert open_one("127.0.0.3").request("GET", "/").status == 200
        assert all(open_one("127.0.0.1").request("GET", "/").status == 200 for _ in range(4)), "a proxy has many clients"
        held.pop().close()

        def served():
            with s.connect(source="127.0.0.2") as c:
                return c.request("GET", "/").status == 200
        wait_for(served, what="a place")
        for pid in s.workers():
            os.kill(pid, signal.SIGKILL)

        def two_served():
            with s.connect(source="127.0.0.2") as a, s.connect(source="127.0.0.2") as b:
                return [c.request("GET", "/").status for c in (a, b)] == [200, 200]
        wait_for(two_served, what="two answers after the workers' end")


def test_many_more_connections_are_closed():
    with Server("hello", {"limit": {"connections": 1}}) as s, contextlib.ExitStack() as stack:
        def open_one():
            return stack.enter_context(s.connect(source="127.0.0.2"))
        first = open_one()
        assert first.request("GET", "/").status == 200
        open_one()  # idle, and over the limit
        open_one().expect_close()
        assert first.request("GET", "/").status == 200


def test_behind_the_proxy_protocol():
    """The client is whom the header names."""
    with Server("hello", {"limit": {"connections": 1}}, flags="proxy") as s, contextlib.ExitStack() as stack:
        def answer(client):
            c = stack.enter_context(s.connect())
            c.send(f"PROXY TCP4 {client} 198.51.100.1 1111 443\r\n".encode())
            return c.request("GET", "/").status
        assert [answer(f"192.0.2.{i}") for i in (1, 2, 1)] == [200, 200, 429]


def test_counted():
    config = {"limit": {"requests": "1/h", "burst": 1}, "metrics": {"bind": "unix:metrics.sock"}}
    with Server("hello", config) as s:
        assert [one(s, "127.0.0.2").status for _ in range(3)] == [200, 429, 429]
        from lib.client import Conn
        with Conn(str(s.dir / "metrics.sock")) as c:
            assert b"tine_limited_total{what=\"requests\"} 2\n" in c.request("GET", "/metrics").body
