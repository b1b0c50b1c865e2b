# SPDX-License-Identifier: BSD-3-Clause
"""What runs in more than one thread, all at once and over and over: under ThreadSanitizer this finds races, in any build
deadlocks and lost wake-ups."""

import json
import os
import select
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lib.build import binary
from lib.load import Load
from lib.places import rest
from lib.server import Server
from lib.waiting import wait_for

CONTROL = {"control": {"socket": "control.sock"}}
BIG = b"0123456789abcdef" * 16384


def at_once(server, requests, clients=4):
    """(path, body or None, expected body), by that many clients at once."""
    def ask(request):
        path, body, expected = request
        with server.connect() as c:
            assert c.request("GET" if body is None else "POST", path, body=body).body == expected
    with ThreadPoolExecutor(clients) as pool:
        for _ in pool.map(ask, requests):
            pass


def tinectl(server, *words):
    done = subprocess.run([Path(binary()).parent / "tinectl", "-s", server.dir / "control.sock", *words], capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stdout


@contextmanager
def rude_clients(server, request, until):
    """One after the other goes away in the middle; the exit waits for the last."""
    stop = []

    def go_on():
        n = 0
        while not stop:
            with server.connect() as c:
                c.send(request)
                if until:
                    c.read_until(until)
                c.reset()
            n += 1
        return n
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(go_on)
        try:
            yield
        finally:
            stop.append(True)
        assert done.result() > 0


# --- ASGI: the loop and the application's threads ---

@pytest.mark.parametrize("interpreter", ["sub", "main"])
def test_calls_from_threads(interpreter):
    with Server("threads", {"app": {"interpreter": interpreter}}) as s:
        at_once(s, [("/storm?n=50", None, b"200"), ("/coroutines", None, b"80"), ("/executor", None, b"1"), ("/loops", None, b"4"),
                    ("/never_waits", None, b"ended"), ("/bursts", None, b"200 True"), ("/echo", BIG, BIG), ("/logs", None, b"logged")] * 3)
        assert s.log().count("of the loop") == 60 and s.log().count("line 19 of ") == 3 * 5


def test_questions_from_outside_meanwhile():
    """Signals that interrupt any of the threads, and the master's looks at what the worker counts."""
    with Server("threads", {**CONTROL, "app": {"blocking_warning": "20ms"}}) as s, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(at_once, s, [("/storm?n=50", None, b"200"), ("/executor", None, b"1"), ("/blocks?s=0.03", None, b"blocked"),
                                         ("/blocks?s=0.001", None, b"blocked"), ("/hello", None, b"hello")] * 4)
        while not asked.done():
            tinectl(s, "stacks")
            tinectl(s, "metrics")
            s.signal(signal.SIGUSR1)
        asked.result()
        s.wait_log(r"the event loop has been held for \d+ ms \(app.blocking_warning\) by \"GET /blocks")


@pytest.mark.parametrize("interpreter", ["sub", *rest("main")])
def test_stacks_of_threads_that_come_and_go(interpreter):
    """Their frames are freed while the stacks are written: no question costs the worker its life, and each has an answer."""
    with Server("threads", {**CONTROL, "app": {"interpreter": interpreter}}) as s:
        worker, = s.workers()
        at_once(s, [("/churn", None, b"churning")])
        for _ in range(10):
            for _ in range(20):
                os.kill(worker, signal.SIGUSR2)
                at_once(s, [("/hello", None, b"hello")])
            assert "most recent call first" in tinectl(s, "stacks")
        at_once(s, [("/calm", None, b"calm")])
        assert s.workers() == [worker]


def test_the_end_leaves_threads_behind():
    """The process ends while threads of the application run Python."""
    with Server("threads") as s:
        at_once(s, [("/leaves", None, b"left")] * 4 + [("/storm?n=20", None, b"80")] * 2)


# --- WSGI: the pool ---

def wsgi(threads=3, **options):
    return Server("apps.threads:wsgi", {**CONTROL, "app": {"threads": threads}, "server": {"graceful_timeout": "20s"}}, **options)


REQUESTS = [("/hello", None, b"hello"), ("/echo", BIG, BIG), ("/big", None, BIG), ("/stream", None, b"first" + BIG * 4),
            ("/errors", None, b"written"), ("/threads", None, b"4"), ("/echo", b"small", b"small")]


def test_the_pool_under_load():
    with wsgi() as s:
        gone = b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n", b"first"
        stuck = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nsome", None
        with rude_clients(s, *gone), rude_clients(s, *stuck):
            at_once(s, REQUESTS * 6, clients=6)


def test_a_reload_and_the_end_while_the_pool_is_busy():
    with wsgi(respawn=True) as s, Load(s.address, clients=6, path="/threads") as load:
        load.more(20)
        before = s.workers()
        for sig in (signal.SIGUSR1, signal.SIGHUP):
            s.signal(sig)
        tinectl(s, "status")
        wait_for(lambda: s.workers() and not set(s.workers()) & set(before), what="the new worker alone")
        load.more(20)
        s.signal(signal.SIGTERM)
        s.wait_exit()
        # The test has the listening sockets too: clients that come later wait in a queue that nobody takes from.
        for listening in s.sockets:
            listening.close()
        load.stop()
        assert set(load.failed) <= {"refused", "lost"}, load.failed


@pytest.mark.parametrize("threads", [2, 5, 16])
def test_a_thread_that_waits_frees_its_place(threads):
    """As many requests as there are threads are in the application at once, whoever brought the threads to life."""
    with wsgi(threads) as s:
        for _ in range(3):
            at_once(s, [(f"/meet?{threads}", None, b"met")] * threads + [("/hello", None, b"hello")] * threads, clients=threads)


def in_flight(server):
    return json.loads(tinectl(server, "-j", "workers"))["workers"][0]["inflight"]


def answered_meanwhile(s, folder):
    """Whether what was answered before the second request that holds the GIL arrives while that one does."""
    folder.mkdir()
    first, second = folder / "first", folder / "second"
    os.mkfifo(first)
    os.mkfifo(second)
    conns = []
    for path in (f"/held?{first}", "/hello", "/hello", f"/held?{second}", "/hello"):
        conns.append(s.connect())
        conns[-1].send_request("GET", path)
        if len(conns) == 1:
            s.wait_event(held=str(first))
    wait_for(lambda: in_flight(s) == len(conns), what="all requests in the queue")
    first.write_bytes(b"x")
    s.wait_event(held=str(second))
    came = [bool(select.select([c.socket], [], [], 2)[0]) for c in conns[:3]]
    second.write_bytes(b"x")
    assert [c.read_response().body for c in conns] == [b"held", b"hello", b"hello", b"held", b"hello"]
    for c in conns:
        c.close()
    return all(came)


def test_answers_do_not_wait_for_a_request_that_holds_the_gil(tmp_path):
    """The other thread may get the GIL in the midst of the first request and begin the second one then: the next try shows it."""
    with wsgi(2) as s:
        assert any(answered_meanwhile(s, tmp_path / str(n)) for n in range(10))