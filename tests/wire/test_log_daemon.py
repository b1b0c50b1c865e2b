# SPDX-License-Identifier: BSD-3-Clause
"""The access log in the hands of a log daemon. The tests are the daemon: they bind its socket and read what arrives.

What syslog gets is what syslog(3) sends: RFC 3164 4.1 without the host name, facility daemon (3), severity info (6), so
<30>. What journald gets is its native protocol: FIELD=value lines, a datagram per entry."""

import os
import re
import socket
import time

import pytest

from lib.server import Server

FORM = "%(m)s %(U)s %(s)s %({User-Agent}i)s"


class Daemon:
    """A bound socket at `path`. The backlog is the kernel's (net.unix.max_dgram_qlen)."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        os.chmod(path, 0o666)
        self.socket.settimeout(30)

    def read(self):
        return self.socket.recv(1 << 17).decode()

    def close(self):
        self.socket.close()
        self.path.unlink()


@pytest.fixture
def daemon(tmp_path):
    running = Daemon(tmp_path / "daemon.socket")
    yield running
    running.socket.close()


def start(kind, daemon, **server):
    return Server("answers", {"log": {"accesslog": f"{kind}:{daemon.path}", "access_log_format": FORM}, "server": server})


def get(server, path, *headers):
    with server.connect() as c:
        return c.request("GET", path, list(headers)).status


def syslog(text):
    found = re.fullmatch(r"<30>(\w{3} [ \d]\d \d\d:\d\d:\d\d) ([^ ]+)\[(\d+)\]: (.*)", text, re.DOTALL)
    assert found, text
    return found.groups()


def test_syslog(daemon):
    with start("syslog", daemon) as server:
        before = time.time()
        get(server, "/sized", "User-Agent: x\ty")
        date, tag, pid, line = syslog(daemon.read())
        assert line == 'GET /sized 200 x\\x09y'
        assert tag == "tine" and int(pid) in server.workers()
        dates = [time.strftime("%b %e %H:%M:%S", time.localtime(second)) for second in range(int(before), int(time.time()) + 1)]
        assert date in dates


def test_name_of_the_program(daemon):
    with start("syslog", daemon, proc_name="shop [1]: api") as server:
        get(server, "/sized")
        assert syslog(daemon.read())[1] == "shop__1___api"


def test_journald(daemon):
    with start("journald", daemon) as server:
        get(server, "/sized", "User-Agent: x\ty")
        text = daemon.read()
    assert text.endswith("\n")
    fields = dict(line.split("=", 1) for line in text[:-1].split("\n"))
    assert fields == {"PRIORITY": "6", "SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "tine", "MESSAGE": "GET /sized 200 x\\x09y"}


@pytest.mark.parametrize("kind", ["syslog", "journald"])
def test_daemon_that_comes_late_and_starts_again(kind, daemon):
    """Requests are served meanwhile; what waited is sent in order, nothing twice."""
    daemon.close()
    with start(kind, daemon) as server:
        assert "access log: No such file or directory: keeping up to 1 MB" in server.log()
        assert get(server, "/sized?1") == 200
        late = Daemon(daemon.path)
        try:
            assert "GET /sized 200 -" in late.read()
            assert get(server, "/status?code=404") == 404
            assert "GET /status 404 -" in late.read()
            late.close()
            assert get(server, "/status?code=410") == 410
        finally:
            late.socket.close()
        again = Daemon(daemon.path)
        try:
            assert "GET /status 410 -" in again.read()
        finally:
            again.socket.close()


def test_daemon_that_does_not_read(daemon):
    """Its queue is full after a few datagrams; the service goes on, and the lines wait."""
    with start("syslog", daemon) as server:
        with server.connect() as c:
            for number in range(200):
                assert c.request("GET", f"/status?code={200 + number % 2}").status == 200 + number % 2
        lines = [syslog(daemon.read())[3] for _ in range(200)]
    assert lines == [f"GET /status {200 + number % 2} -" for number in range(200)]


def test_a_long_line_is_cut_for_syslog(daemon):
    """rsyslog takes 8 KB and cuts the rest; cut here, the line keeps its fields."""
    with start("syslog", daemon) as server:
        get(server, "/sized", "User-Agent: " + "\xff" * 4000)
        text = daemon.read()
    assert len(text) <= 8192
    assert syslog(text)[3].startswith("GET /sized 200 ") and text.endswith("...")


def test_lines_of_the_last_requests_arrive(daemon):
    with start("syslog", daemon) as server:
        get(server, "/sized")
        assert daemon.read()
        get(server, "/status?code=404")
    assert syslog(daemon.read())[3] == "GET /status 404 -"


def test_refused_without_a_path(tmp_path):
    server = Server("answers", {"log": {"accesslog": "syslog:run/log"}}).start()
    try:
        assert server.wait_exit() == 1
        assert "expected the absolute path of the daemon's socket" in server.log()
    finally:
        server.kill()
        server.cleanup()


def test_access_lines_of_many_clients(daemon):
    """As many datagrams as requests, whatever the order."""
    with start("journald", daemon, workers=2) as server:
        for number in range(20):
            assert get(server, "/sized", f"User-Agent: client-{number}") == 200
        seen = {re.search(r"client-\d+", daemon.read())[0] for _ in range(20)}
    assert seen == {f"client-{number}" for number in range(20)}
