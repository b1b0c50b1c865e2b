# SPDX-License-Identifier: BSD-3-Clause
"""Every call that can fail, failing once: in a worker over requests and WebSockets, in the master over a reload.

The peer may get an error, or lose its connection; nobody may hang, no process may die, nothing may leak (what the
sanitizers say at the end), and whoever comes next is served as if nothing had been. Needs a server that was built with
--enable-fault-injection.
"""

import os
import signal
import socket
import ssl

import pytest

from lib import ws as wsconn
from lib.client import Malformed, Truncated
from lib.h2 import H2
from lib.h2frames import CONNECT_PROTOCOL
from lib.server import Server
from lib.waiting import wait_for
from faults.faults import ACCEPT, ALLOC, EVENT, NAMES, OPEN, PROCESS, PYTHON, READ, WRITE, Page, built_in

pytestmark = pytest.mark.skipif(not built_in(), reason="not built with --enable-fault-injection")

LOST = (Truncated, ConnectionError, ssl.SSLError)


# --- what a client does; an AssertionError that is not of LOST is a fault of the server ---

def get(path):
    def run(server):
        with server.connect(timeout=10) as c:
            for _ in range(2):
                answer = c.request("GET", path)
                assert answer.status in (200, 500, 503), answer
                if answer.closes:
                    break
    run.__name__ = "get" + path.replace("/", "-").rstrip("-")
    return run


def post(server):
    with server.connect(timeout=10) as c:
        answer = c.request("POST", "/echo", chunks=[b"a" * 3000, b"b" * 70000, b"c"])
        assert answer.status in (200, 413, 500, 503), answer
        assert answer.status != 200 or answer.body == b"a" * 3000 + b"b" * 70000 + b"c"


def pipelined(server):
    with server.connect(timeout=10) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        for _ in range(3):
            if c.read_response().closes:
                break


def static(server):
    with server.connect(timeout=10) as c:
        assert c.request("GET", "/static/every.py").status in (200, 404, 500, 503)


def refused(server):
    with server.connect(timeout=10) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n")
        assert c.read_response().status in (400, 500)


def websocket(server):
    with server.connect(timeout=10) as c:
        c.send(wsconn.handshake("/ws", ["Sec-WebSocket-Extensions: permessage-deflate"]))
        answer = c.read_response()
        assert answer.status in (101, 500, 503), answer
        if answer.status != 101:
            return
        c.send(wsconn.frame(wsconn.TEXT, b"hello") + wsconn.frame(wsconn.BINARY, b"x" * 300) + wsconn.frame(wsconn.PING, b"?") +
               wsconn.frame(wsconn.CLOSE, wsconn.close_payload(1000)))
        c.read_to_end()


def compressed(server):
    with server.connect(timeout=10) as c:
        assert c.request("GET", "/long", ["Accept-Encoding: gzip"]).status in (200, 500, 503)


def http2(server):
    with H2(server.connect(timeout=10)) as h:
        streams = [h.request("GET", path) for path in ("/", "/await", "/file", "/static/every.py")]
        for stream in streams:
            answer = h.answer(stream)
            assert answer.reset is not None or answer.status in (200, 404, 500, 503), answer.headers
        body = b"a" * 3000 + b"b" * 70000
        answer = h.post("/echo", body)
        assert answer.reset is not None or answer.status != 200 or answer.body == body


def http2_websocket(server):
    with H2(server.connect(timeout=10)) as h:
        h.until(lambda: h.settings is not None)
        if not h.settings.get(CONNECT_PROTOCOL):
            return
        stream = h.open(h.head("CONNECT", "/ws", [("sec-websocket-version", "13")], more=[(":protocol", "websocket")]), end=False)
        h.data(stream, wsconn.frame(wsconn.TEXT, b"hello") + wsconn.frame(wsconn.CLOSE, wsconn.close_payload(1000)), end=True)
        h.answer(stream)


CLIENTS = [compressed, get("/"), get("/await"), get("/thread"), get("/file"), post, pipelined, static, refused, websocket]


# --- the worker ---

@pytest.fixture(scope="module")
def page(tmp_path_factory):
    page = Page(tmp_path_factory.mktemp("faults"))
    yield page
    page.close()


CONFIG = {"server": {"timeout": "0", "graceful_timeout": "3s"}, "http": {"compress": "gzip"},
          "static:/static": {"dir": os.path.dirname(__file__) + "/../apps"}}
# How the server's socket speaks, and who comes there.
PAIRS = [("", client) for client in CLIENTS] + [("tls", post), ("tls", websocket), ("h2c", http2), ("h2c", http2_websocket)]


@pytest.fixture(scope="module")
def server(page, request):
    speaks = request.param
    config = {name: dict(keys) for name, keys in CONFIG.items()}
    with Server("apps.every:app", config, env=page.env, flags=speaks if speaks == "h2c" else "", tls=speaks == "tls", allow=("Traceback", "Exception ignored", "[CRITICAL]")) as server:
        yield server
        server.signal(signal.SIGTERM)
        server.wait_exit()
        assert "are left of those in flight" not in server.log(), "requests were lost sight of"


def attempt(client, server):
    try:
        client(server)
    except LOST:
        pass
    except (TimeoutError, socket.timeout) as e:
        raise AssertionError("it hangs") from e


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("kind", [ALLOC, PYTHON, EVENT, ACCEPT, READ, WRITE, OPEN], ids=NAMES.get)
@pytest.mark.parametrize("server, client", PAIRS, indirect=["server"],
                         ids=[f"{speaks or 'http'}-{client.__name__}" for speaks, client in PAIRS])
def test_worker_survives_each_failure(server, page, client, kind):
    worker, = server.workers()
    client(server)
    before = wait_for(lambda: descriptors(worker), what="the worker")
    page.arm(kind, worker)
    client(server)
    calls, _ = page.disarm()
    quiet = n = 0
    while quiet < 2 and n < calls + 20:
        n += 1
        page.arm(kind, worker, n)
        try:
            attempt(client, server)
        except AssertionError as e:
            raise AssertionError(f"call {n} of {calls}") from e
        finally:
            _, fired = page.disarm()
        quiet = 0 if fired else quiet + 1
        try:
            assert server.get("/").body == b"plain"
        except (Malformed, *LOST) as e:
            raise AssertionError(f"after call {n} of {calls} had failed") from e
        assert server.workers() == [worker], f"call {n} of {calls} ended the worker"
    wait_for(lambda: descriptors(worker) <= before, what=f"{descriptors(worker) - before} descriptors to be closed")


# --- the master ---

@pytest.mark.parametrize("kind", [ALLOC, EVENT, READ, WRITE, PROCESS, OPEN], ids=NAMES.get)
def test_reload_survives_each_failure(page, kind):
    """It is done, or it is rolled back; the service goes on, and the next reload is done."""
    with Server("builtin:hello", {"server": {"timeout": "0"}}, env=page.env, respawn=True, allow=("[CRITICAL]",)) as server:
        def reload():
            mark = server.log_mark()
            server.signal(signal.SIGHUP)
            return server.wait_log(r"reloaded: generation|reload failed", mark)[0]

        done = "reloaded: generation"
        assert reload() == done
        before = descriptors(server.pid)
        page.arm(kind, server.pid)
        assert reload() == done
        calls, _ = page.disarm()
        for n in range(1, calls + 1):
            page.arm(kind, server.pid, n)
            reload()
            page.disarm()
            assert server.get("/").status == 200, f"call {n} of {calls}"
        assert reload() == done
        wait_for(lambda: descriptors(server.pid) <= before, what="descriptors to be closed")
        wait_for(lambda: len(server.workers()) == 1, what="one worker")
