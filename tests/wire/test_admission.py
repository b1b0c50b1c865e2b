# SPDX-License-Identifier: BSD-3-Clause
"""max_inflight, max_queue, queue_timeout (503 with Retry-After: RFC 9110 10.2.3, 15.6.4) and request_timeout (504)."""

import random
import select
import zlib

import pytest

from lib.server import Server
from lib.waiting import wait_for


@pytest.fixture
def admitting():
    servers = []

    def start(**http):
        server = Server("apps.admission:app", {"http": http})
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def hold(server, name):
    """A request that runs until its connection is reset."""
    c = server.connect()
    c.send_request("GET", f"/hold?name={name}")
    server.wait_event(path="hold", name=name)
    return c


def refused(response):
    return response.status == 503 and response.closes and int(response.get("retry-after")) >= 1


def test_beyond_the_limit_requests_wait_their_turn(admitting):
    server = admitting(max_inflight=2)
    first, second = hold(server, "a"), hold(server, "b")
    with server.connect() as third, server.connect() as fourth:
        third.send_request("GET", "/quick?name=third")
        third.expect_no_more()
        fourth.send_request("GET", "/quick?name=fourth")
        fourth.expect_no_more()
        assert not server.has_event(path="quick")
        first.reset()
        assert third.read_response().body == b"quick" and fourth.read_response().body == b"quick"
        assert [server.wait_event(path="quick")["name"] for _ in range(2)] == ["third", "fourth"]
    second.reset()


def test_a_full_queue_refuses_at_once(admitting):
    server = admitting(max_inflight=1, max_queue=1)
    first = hold(server, "a")
    with server.connect() as waits, server.connect() as late:
        waits.send_request("GET", "/quick?name=waits")
        waits.expect_no_more()
        assert refused(late.request("GET", "/quick?name=late"))
        late.expect_close()
        first.reset()
        assert waits.read_response().status == 200
    assert server.wait_event(path="quick")["name"] == "waits"


def test_queue_timeout(admitting):
    server = admitting(max_inflight=1, queue_timeout="300ms")
    first = hold(server, "a")
    with server.connect() as c:
        assert refused(c.request("GET", "/quick"))
        c.expect_close()
    assert not server.has_event(path="quick")
    first.reset()
    assert server.get("/quick").status == 200


def queued(server, path):
    """A request that waits, once the queue has room for it: until then each try gets its 503."""
    def attempt():
        c = server.connect()
        c.send_request("GET", path)
        if not select.select([c.socket], [], [], 0.3)[0]:
            return c
        assert refused(c.read_response())
        c.close()
        return None
    return wait_for(attempt)


def test_who_leaves_the_queue_is_not_called(admitting):
    server = admitting(max_inflight=1, max_queue=1)
    first, gone = hold(server, "a"), queued(server, "/quick?name=gone")
    gone.close()
    patient = queued(server, "/quick?name=patient")
    first.reset()
    assert patient.read_response().status == 200
    assert server.wait_event(path="quick")["name"] == "patient"
    patient.close()


def test_an_upload_that_waits_keeps_its_body(admitting):
    server = admitting(max_inflight=1)
    first = hold(server, "a")
    with server.connect() as c:
        c.send_request("POST", "/quick", body=b"x" * 30000)
        c.expect_no_more()
        first.reset()
        assert c.read_response().status == 200
        assert c.request("GET", "/quick").status == 200


def test_idle_connections_are_not_counted(admitting):
    server = admitting(max_inflight=1, max_queue=1)
    conns = [server.connect() for _ in range(10)]
    for c in conns + conns:
        assert c.request("GET", "/quick").status == 200
    for c in conns:
        c.close()


def test_pipelined_requests_take_their_turns(admitting):
    server = admitting(max_inflight=1)
    with server.connect() as c:
        c.send(b"GET /quick HTTP/1.1\r\nHost: test\r\n\r\n" * 20)
        assert [c.read_response().status for _ in range(20)] == [200] * 20


def test_request_timeout_before_the_answer(admitting):
    server = admitting(request_timeout="300ms")
    with server.connect() as c:
        r = c.request("GET", "/asleep")
        assert r.status == 504 and r.closes
        c.expect_close()
    server.wait_event(path="asleep", state="cancelled")
    server.wait_log(r'request_timeout: "GET /asleep"')
    assert server.get("/quick").status == 200


def test_request_timeout_inside_the_answer(admitting):
    """The client must see that the answer is not whole: no last chunk."""
    server = admitting(request_timeout="300ms")
    with server.connect() as c:
        c.send_request("GET", "/asleep_in_answer")
        data = c.read_to_end()
        assert b"begun" in data and data.startswith(b"HTTP/1.1 200 ") and not data.endswith(b"0\r\n\r\n")
    server.wait_event(path="asleep", state="cancelled")


def test_request_timeout_while_a_large_body_waits_for_its_client(admitting):
    server = admitting(request_timeout="300ms")
    with server.connect(rcvbuf=8192) as c:
        c.send_request("GET", "/large_in_answer")
        server.wait_log(r'request_timeout: "GET /large_in_answer"')
        c.read_until(b"\r\n\r\n")
        c.reset()
    assert server.get("/quick").status == 200


@pytest.mark.parametrize("compress", ["off", "gzip"])
def test_request_timeout_leaves_a_whole_answer_to_its_slow_client(admitting, compress):
    """The application has done its part in time, even if pieces of it are still to be compressed."""
    server = admitting(request_timeout="300ms", compress=compress)
    with server.connect(rcvbuf=8192) as c, server.connect() as other:
        c.send_request("GET", "/large_answer", ["Accept-Encoding: gzip"])
        server.wait_event(path="large_answer")
        assert other.request("GET", "/asleep").status == 504  # it came later, and its time is over
        data = c.read_response().body
        assert (data if compress == "off" else zlib.decompress(data, 31)) == random.Random(1).randbytes(20 << 20)


def test_request_timeout_does_not_count_the_wait(admitting):
    server = admitting(max_inflight=1, request_timeout="500ms")
    first = hold(server, "a")
    with server.connect() as c:
        assert c.request("GET", "/quick").status == 200
    assert first.read_response().status == 504
    first.close()


def test_requests_in_time_are_left_alone(admitting):
    server = admitting(request_timeout="400ms", max_inflight=100)
    with server.connect() as c:
        for _ in range(200):
            assert c.request("GET", "/quick").status == 200
