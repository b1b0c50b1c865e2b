# SPDX-License-Identifier: BSD-3-Clause
"""Requests that one look at the network finds: their heads are read, then all begin, then small answers leave."""
import os
import signal

import pytest

from lib.procfs import freeze
from lib.server import Server
from lib.waiting import wait_for

MANY = 70  # more than are put together


@pytest.fixture(scope="module")
def server():
    with Server("together", allow=["Traceback", "[ERROR]"]) as s:
        yield s


def at_once(server, send):
    """One connection for each of `send`, in its order; their bytes are there before the worker looks."""
    worker = server.workers()[0]
    conns = [server.connect() for _ in send]
    for c in conns:
        assert c.request("GET", "/?before").body == b"before"
    freeze(worker)
    try:
        for c, (args, options) in zip(conns, send):
            c.send_request(*args, **options)
    finally:
        os.kill(worker, signal.SIGCONT)
    return conns


def get(path, **options):
    return ("GET", path), options


def test_each_has_its_own_answer_in_the_order_of_arrival(server):
    server.get("/?mark")
    conns = at_once(server, [get(f"/?{i}") for i in range(MANY)])
    assert [c.read_response().body for c in conns] == [b"%d" % i for i in range(MANY)]
    began = server.get("/order").body.decode().rpartition("mark")[2].split()
    assert sorted(map(int, [n for n in began if n != "before"])) == list(range(MANY))


def test_all_kinds_of_answers_side_by_side(server):
    kinds = [get("/raises?a"), get("/closes?b"), get("/waits?c"), get("/task?d"), get("/large?e"), get("/old?f", version="1.0"),
             (("POST", "/body"), {"body": b"g"}), (("HEAD", "/?h"), {}), get("/?i")]
    conns = at_once(server, kinds)
    assert conns[0].read_response().status == 500
    conns[0].expect_close()
    answers = [c.read_response(kind[0][0]) for c, kind in zip(conns[1:], kinds[1:])]
    assert [r.status for r in answers] == [200] * 8
    assert [r.body for r in answers] == [b"b", b"c", b"d app", b"e" * 3000, b"f", b"g", b"", b"i"]
    conns[1].expect_close()
    conns[5].expect_close()
    for c in (*conns[2:5], *conns[6:]):
        assert c.request("GET", "/?again").body == b"again"


def test_clients_that_leave_and_requests_behind_others(server):
    conns = at_once(server, [get("/?a"), get("/waits?b"), get("/?c")])
    conns[1].reset()
    assert conns[0].read_response().body == b"a" and conns[2].read_response().body == b"c"
    worker = server.workers()[0]
    freeze(worker)
    for c in (conns[0], conns[2]):
        for path in ("/waits?1", "/?2", "/?3", "/raises?4"):
            c.send_request("GET", path)
    gone = server.connect().send_request("GET", "/?gone")
    gone.reset()
    os.kill(worker, signal.SIGCONT)
    for c in (conns[0], conns[2]):
        assert [c.read_response().body for _ in range(3)] == [b"1", b"2", b"3"]
        assert c.read_response().status == 500
    assert server.workers() == [worker]


def test_an_answer_does_not_wait_for_those_who_block_again_and_again(server, tmp_path):
    """The first time it may: what began before it took too long is known only then."""
    def leaves_before(file):
        first, second = at_once(server, [get("/?first"), get(f"/blocks?{file}")])
        assert first.read_response().body == b"first"
        file.touch()
        return second.read_response().body == b"released"
    files = (tmp_path / str(i) for i in range(100))
    wait_for(lambda: leaves_before(next(files)), what="an answer before the end of the step behind it")


def test_a_late_send_after_an_error_that_could_not_be_sent(server, tmp_path):
    """The client has gone, which the worker finds as it sends its 500. What the application sends in the same turn comes before
    the request has ended."""
    server.get("/?mark")
    client = server.connect().send_request("GET", f"/leaves?{tmp_path / 'gone'}")
    server.wait_event(event="runs")
    client.reset()
    (tmp_path / "gone").touch()
    assert server.get("/order").body.decode().rpartition("mark ")[2].split()[1] == "ignored"
    assert server.workers() == server.workers_at_ready


def test_a_worker_that_stops_answers_what_it_has_begun(tmp_path):
    with Server("together") as s:
        conns = at_once(s, [get(f"/waits?{i}") for i in range(20)])
        s.signal(signal.SIGTERM)
        assert [c.read_response().body for c in conns] == [b"%d" % i for i in range(20)]
