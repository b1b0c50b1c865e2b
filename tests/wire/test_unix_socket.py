# SPDX-License-Identifier: BSD-3-Clause
"""Unix sockets: what the scope says, who is trusted, and that HTTP is the same."""

import os
import stat

import pytest

from lib.client import Conn
from lib.server import Server


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("u") / "tine.sock")
    with Server("scope", {"server": {"bind": f"unix:{path}", "socket_mode": "0600"}}) as server:
        yield server, path


def test_client_and_server_in_the_scope(running):
    _, path = running
    with Conn(path) as c:
        scope = c.request("GET", "/x").json()
        assert scope["client"] is None and scope["server"] == [path, None]
        assert scope["scheme"] == "http" and scope["path"] == "/x"


def test_mode_of_the_socket(running):
    _, path = running
    assert stat.S_ISSOCK(os.stat(path).st_mode) and stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_keep_alive_and_pipelining(running):
    _, path = running
    with Conn(path) as c:
        for i in range(5):
            c.send_request("GET", f"/{i}")
        assert [c.read_response().json()["path"] for i in range(5)] == [f"/{i}" for i in range(5)]
        c.expect_no_more()


def test_unix_peer_is_trusted_by_name(tmp_path):
    path = str(tmp_path / "tine.sock")
    with Server("scope", {"server": {"bind": f"unix:{path}"}, "http": {"forwarded_allow_ips": "unix"}}), Conn(path) as c:
        scope = c.request("GET", "/", ["X-Forwarded-For: 6.6.6.6, 192.0.2.1", "X-Forwarded-Proto: https"]).json()
        assert scope["client"][0] == "192.0.2.1" and scope["scheme"] == "https"


def test_access_log_of_a_nameless_client(tmp_path):
    path, log = str(tmp_path / "tine.sock"), tmp_path / "access.log"
    with Server("hello", {"server": {"bind": f"unix:{path}"}, "log": {"accesslog": log}}):
        with Conn(path) as c:
            assert c.request("GET", "/").body == b"Hello, World!"
    assert log.read_text().count('"GET / HTTP/1.1" 200 13') == 1
