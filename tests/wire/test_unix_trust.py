# SPDX-License-Identifier: BSD-3-Clause
"""Who is believed on a Unix socket when http.forwarded_allow_ips is not set: whoever connects, if the file's mode and owner, or a
folder on the way, keep strangers out; otherwise no one, and the log says why. The same for the PROXY protocol."""

import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.client import Conn
from lib.proxies import find, needs
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import wait_for

FIELDS = ["X-Forwarded-For: 6.6.6.6, 192.0.2.1", "X-Forwarded-Proto: https"]
HINT = "forwarded fields from unix:.* have no effect: others than a proxy can connect to it"
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def believed(path):
    with Conn(str(path)) as c:
        scope = c.request("GET", "/", FIELDS).json()
        if scope["client"] is None:
            assert scope["scheme"] == "http"
            return False
        assert scope["client"][0] == "192.0.2.1" and scope["scheme"] == "https"
        return True


@pytest.fixture
def folder():
    """One that everybody may enter, as /run is."""
    path = Path(tempfile.mkdtemp(prefix="tine-open-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize("mode,expected", [("0600", True), ("0660", True), ("0666", False), ("0662", False)])
def test_the_mode_decides(folder, mode, expected):
    path = folder / "s"
    with Server("scope", {"server": {"bind": f"unix:{path}", "socket_mode": mode}}) as server:
        assert believed(path) is expected
        believed(path)
        if expected:
            assert "have no effect" not in server.log()
        else:
            server.wait_log(HINT)
            assert server.log().count("have no effect") == 1, "it is said once"


@pytest.mark.parametrize("mode,expected", [(0o700, True), (0o750, True), (0o711, False), (0o755, False)])
def test_a_folder_keeps_strangers_out_as_well(folder, mode, expected):
    (folder / "in").mkdir()
    (folder / "in").chmod(mode)
    path = folder / "in" / "s"
    with Server("scope", {"server": {"bind": f"unix:{path}", "socket_mode": "0666"}}):
        assert believed(path) is expected


def test_a_name_without_a_file_has_no_guard():
    name = f"@tine-test-{os.getpid()}"
    with Server("scope", {"server": {"bind": f"unix:{name}", "socket_mode": "0600"}}) as server:
        with Conn("\0" + name[1:]) as c:
            assert c.request("GET", "/", FIELDS).json()["client"] is None
        server.wait_log(HINT)


@pytest.mark.parametrize("allowed,expected", [("unix", True), ("127.0.0.1", False), ("unix-private", False)])
def test_what_is_configured_counts(folder, allowed, expected):
    path = folder / "s"
    config = {"server": {"bind": f"unix:{path}", "socket_mode": "0666"}, "http": {"forwarded_allow_ips": allowed}}
    with Server("scope", config):
        assert believed(path) is expected


def test_a_private_socket_is_not_believed_where_only_addresses_are_named(folder):
    with Server("scope", {"server": {"bind": f"unix:{folder}/s", "socket_mode": "0600"}, "http": {"forwarded_allow_ips": "127.0.0.1"}}):
        assert believed(folder / "s") is False


def test_the_proxy_protocol_follows_the_same_rule(folder):
    header = "PROXY TCP4 192.0.2.9 192.0.2.10 1234 80\r\n"
    for mode, expected in ("0600", True), ("0666", False):
        path = folder / mode
        with Server("scope", {"server": {"bind": f"unix:{path} proxy", "socket_mode": mode}}), Conn(str(path)) as c:
            with contextlib.suppress(BrokenPipeError if not expected else ()):
                c.send(header + "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            if expected:
                assert c.read_response().json()["client"] == ["192.0.2.9", 1234]
            else:
                c.expect_close()


def test_a_reload_sees_a_mode_that_has_changed(folder):
    path = folder / "s"
    with Server("scope", {"server": {"bind": f"unix:{path}"}}, respawn=True) as server:
        assert believed(path)
        path.chmod(0o666)
        server.signal(signal.SIGHUP)
        server.wait_log("reloaded: generation 2 serves")
        wait_for(lambda: not believed(path), what="the new workers alone")


def test_fields_of_a_client_over_tcp_are_mentioned_once():
    with Server("scope", {"http": {"forwarded_allow_ips": "10.0.0.1"}}) as server:
        for _ in range(3):
            with server.connect() as c:
                assert c.request("GET", "/", FIELDS).json()["client"][0] == "127.0.0.1"
        server.wait_log(r"\[INFO\] forwarded fields from 127.0.0.1 have no effect: if this is a proxy of yours, name it in "
                        "http.forwarded_allow_ips")
        assert server.log().count("have no effect") == 1


# --- groups ---

@root
def test_a_group_that_all_users_have_is_no_guard(folder):
    """With user private groups the group of a user is theirs alone; elsewhere "users" is everybody's."""
    games = pwd.getpwnam("games")  # whose group is "games" as well
    sync = pwd.getpwnam("sync")  # whose group is nogroup, that of many
    assert grp.getgrgid(games.pw_gid).gr_name == "games" and grp.getgrgid(sync.pw_gid).gr_name != "sync"
    for user, expected in ("games", True), ("sync", False):
        path = folder / user
        with Server("scope", {"server": {"bind": f"unix:{path}", "user": user}, "app": {"pythonpath": readable_tests(folder)}}):
            assert believed(path) is expected


def readable_tests(folder):
    """The applications where a user without rights finds them."""
    copy = folder / "tests"
    if not copy.exists():
        shutil.copytree(Path(__file__).parent.parent / "apps", copy / "apps")
    return copy


@root
def test_the_group_of_the_socket_is_configured(folder):
    path = folder / "s"
    config = {"server": {"bind": f"unix:{path}", "user": "sync", "socket_group": "www-data"}, "app": {"pythonpath": readable_tests(folder)}}
    with Server("scope", config):
        st = path.stat()
        assert (st.st_uid, grp.getgrgid(st.st_gid).gr_name, st.st_mode & 0o777) == (pwd.getpwnam("sync").pw_uid, "www-data", 0o660)
        assert believed(path)


def test_a_group_that_is_not_there(folder):
    server = Server("hello", {"server": {"bind": f"unix:{folder}/s", "socket_group": "no-such-group"}}, status=2, allow=["[CRITICAL]"])
    server.start()
    assert server.wait_exit() == 2
    assert "server.socket_group: no group is called no-such-group" in server.log()
    assert not (folder / "s").exists()
    server.kill()
    server.cleanup()


# --- the manual's nginx ---

NGINX = """
daemon off; pid {0}/pid; worker_processes 1; user www-data;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
    access_log off;
    server {{
        listen 127.0.0.1:{1};
        location / {{
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Host $http_host;
            proxy_redirect off;
            proxy_pass http://unix:{0}/tine.sock;
        }}
    }}
}}
"""


@root
@needs("nginx")
@pytest.mark.parametrize("keys,status", [({"socket_group": "www-data"}, 200), ({}, 502), ({"socket_mode": "0666"}, 200)])
def test_nginx_over_a_unix_socket(folder, keys, status):
    """As the manual has it: nginx's workers have their own user, and the socket is given to their group."""
    path, port = folder / "tine.sock", free_port()
    (folder / "conf").write_text(NGINX.format(folder, port))
    config = {"server": {"bind": f"unix:{path}", "user": "sync", **keys}, "app": {"pythonpath": readable_tests(folder)}}
    with Server("scope", config) as server:
        with open(folder / "log", "w") as log:
            nginx = subprocess.Popen([find("nginx"), "-c", f"{folder}/conf", "-e", "stderr"], stdout=log, stderr=log)
        try:
            def is_up():
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    return True
                except ConnectionRefusedError:
                    assert nginx.poll() is None, (folder / "log").read_text()
            wait_for(is_up, what="nginx")
            with Conn(("127.0.0.1", port), source="127.0.0.9") as c:
                r = c.request("GET", "/", ["X-Forwarded-For: 6.6.6.6"], host="site.example")
            assert r.status == status
            if status == 200 and "socket_group" in keys:
                assert r.json()["client"][0] == "127.0.0.9" and "have no effect" not in server.log()
            elif status == 200:
                assert r.json()["client"] is None
                server.wait_log(HINT)
        finally:
            nginx.terminate()
            nginx.wait()
