# SPDX-License-Identifier: BSD-3-Clause
"""Peers that are gone without a word: no FIN, no RST, nothing that TCP would tell by itself. A process that is stopped looks the
same from here but for its kernel, which goes on acknowledging."""

import contextlib
import os
import select
import signal
import subprocess
import sys

import pytest

from lib.server import Server
from lib.waiting import wait_for

KEEPALIVE = "02"  # /proc/net/tcp: the timer that runs


def timers(port):
    """Of the server's side of each established connection to the port of 127.0.0.1: which timer runs, when it is over in s."""
    with open("/proc/net/tcp") as lines:
        for fields in map(str.split, lines):
            if fields[1] == f"0100007F:{port:04X}" and fields[3] == "01":
                kind, _, when = fields[5].partition(":")
                yield kind, int(when, 16) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("how", ["plain", "reuseport", "reload"])
def test_tcp_asks_whether_a_peer_is_there(how):
    """A request that waits for its application has no time-out of ours."""
    keys = {"tcp_keepalive": "300s" if how == "reload" else "40s", "accept": "reuseport" if how == "reuseport" else "shared"}
    with Server("hangs", {"server": keys}, respawn=True) as s:
        if how == "reload":
            s.write_config({"server": {"tcp_keepalive": "40s"}})
            s.signal(signal.SIGHUP)
            s.wait_log("reloaded: generation 2")
        with s.connect() as c:
            c.send_request("GET", "/waits?s=1&n=1")
            s.wait_event(waits="1")
            (kind, when), = timers(s.port)
            assert kind == KEEPALIVE and when <= 41
            assert c.read_response().body == b"waited"


def test_tcp_does_not_ask_when_told_so():
    """Also of a socket that somebody else has set up."""
    with Server("hangs", {"server": {"tcp_keepalive": 0}}) as s, s.connect() as c:
        c.send_request("GET", "/waits?s=1&n=1")
        s.wait_event(waits="1")
        assert [kind for kind, _ in timers(s.port)] == ["00"]
        assert c.read_response().body == b"waited"


CLIENT = """
import socket, sys
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
c.sendall(sys.argv[2].encode().decode("unicode_escape").encode())
print("sent", flush=True)
sys.stdin.read()
"""
POST = r"POST /receives HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"


@pytest.mark.parametrize("request_text,path", [
    (POST, "receives"), (r"GET /streams?tag=t HTTP/1.1\r\nHost: a\r\n\r\n", "streams"), (r"GET / HT", None)])
def test_a_stopped_client_is_given_up(request_text, path):
    """In the middle of its head, of its body, of an answer: the time-out of each ends it, and the application is told."""
    config = {"http": {"header_timeout": "500ms", "body_timeout": "500ms", "write_timeout": "500ms"}, "app": {"asgi_spec_version": "2.5"}}
    with Server("gone", config) as s, contextlib.ExitStack() as stack:
        client = stack.enter_context(subprocess.Popen([sys.executable, "-c", CLIENT, str(s.port), request_text],
                                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        stack.callback(os.kill, client.pid, signal.SIGKILL)
        assert select.select([client.stdout], [], [], s.deadline)[0] and client.stdout.readline() == b"sent\n"
        os.kill(client.pid, signal.SIGSTOP)
        if path:
            event = s.wait_event(path=path, state="over")
            assert event.get("again", "http.disconnect") == "http.disconnect" and (path != "streams" or event["error"][0])
        wait_for(lambda: not list(timers(s.port)), what="the connection to end")
        assert s.get("/ok").body == b"ok"
