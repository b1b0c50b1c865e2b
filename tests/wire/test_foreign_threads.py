# SPDX-License-Identifier: BSD-3-Clause
"""What belongs to the event loop's thread, used from other threads: receive() and send() are handed over or refused, the loop's
methods keep asyncio's rules, and the worker lives."""

import pytest

from lib.h2 import H2
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import WS

CASES = ["threadsafe", "no_loop", "awaitable", "dropped", "errors", "cancelled", "context", "scheduling", "debug", "refused",
         "handles", "request_coroutine"]


@pytest.fixture(params=["sub", "main"])
def server(request, serve):
    return serve("foreign", {"app": {"interpreter": request.param, "asgi_spec_version": "2.5"}}, flags="h2c")


@pytest.mark.parametrize("case", CASES)
def test_case(server, case):
    r = server.get(f"/{case}")
    assert (r.status, r.body) == (200, b"ok"), server.log()[-3000:]


def test_an_answer_of_another_threads_loop(server):
    expected = b"x" * 20000 + b"end"
    conns = [server.connect() for _ in range(4)]
    for _ in range(25):
        for c in conns:
            c.send_request("GET", "/answer")
        for c in conns:
            assert c.read_response().body == expected
    for c in conns:
        c.close()


def test_a_body_read_and_answered_by_another_threads_loop(server):
    with server.connect(rcvbuf=4096) as c:
        sent = bytes(range(256)) * 2000
        r = c.request("POST", "/whole", body=sent)
        assert r.status == 200 and r.body == sent + b"0123456789abcdef" * 65536


def test_threads_take_turns(server):
    assert server.get("/by_turns").body == b"0-1-2-"


def test_over_http_2(server):
    with H2(server.connect()) as h:
        for path, expected in (("/answer", b"x" * 20000 + b"end"), ("/by_turns", b"0-1-2-"), ("/threadsafe", b"ok")):
            a = h.get(path)
            assert (a.status, bytes(a.body)) == (200, expected)
        sent = bytes(range(256)) * 200
        assert bytes(h.post("/whole", sent).body) == sent + b"0123456789abcdef" * 65536


def test_receive_and_send_outlive_their_request(server):
    for _ in range(3):
        assert server.get("/kept").body == b"ok"
    assert server.get("/used").body == b"ok"


def test_a_client_that_goes_away_is_told_to_the_thread(server):
    with server.connect() as c:
        c.send_request("GET", "/disconnect").read_until(b"0123456789")
        c.reset()
    wait_for(lambda: server.get("/seen").body == b"disconnected,gone", what="both threads to notice")
    server.get("/seen")


def test_a_websocket_of_another_threads_loop(server):
    with WS(server.connect(), "/websocket") as ws:
        for word in ("one", "two", "three" * 10000):
            ws.text(word)
            assert ws.read_text() == word
        ws.close()
    with WS(server.connect(), "/websocket_closes") as ws:
        ws.expect_close(4000, answer=True)


def test_lifespan_of_another_threads_loop():
    with Server("foreign") as s:
        wait_for(lambda: "started by a thread" in s.stdout(), what="start-up")
        s.get("/seen")
        s.signal(15)
        s.wait_exit()
        assert "told a thread of the shutdown" in s.stdout()
