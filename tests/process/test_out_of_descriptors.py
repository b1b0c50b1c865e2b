# SPDX-License-Identifier: BSD-3-Clause
"""No descriptor is left for the next connection, or for the application: whoever is there is served, nothing spins, and all of
it ends by itself."""

import contextlib
import os
import resource
import threading
import time

import pytest

from lib.build import ROOT
from lib.client import Conn
from lib.waiting import wait_for
from lib.watched import Watched, limited

PAUSES = "tine_accept_pauses_total"
SPARE = 20  # descriptors


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server(speaks=""):
    config = {"http": {"header_timeout": "10m", "keepalive": "10m"}, "static:/static": {"dir": ROOT / "tests" / "apps"}}
    return Watched("files", config, flags=speaks if speaks == "h2c" else "", tls=speaks == "tls", allow=("Traceback",))


def asker(s, speaks):
    """A client that is there already: asks again and again on its connection."""
    if speaks != "h2c":
        c = s.connect()
        return c, lambda path: c.request("GET", path).status
    from lib.h2 import H2
    h = H2(s.connect())
    return h.conn, lambda path: h.get(path).status


def idles(s, worker, pauses):
    """While nobody can be accepted the worker waits: it looks five times a second, and needs next to no processor time."""
    began, used = time.monotonic(), cpu_seconds(worker)
    wait_for(lambda: time.monotonic() > began + 1.5, what="time to pass")
    took, used = time.monotonic() - began, cpu_seconds(worker) - used
    assert s.figure(PAUSES) - pauses <= 5 * (took + 1)
    assert used < took / 2


@pytest.mark.parametrize("speaks", ["", "tls", "h2c"])
def test_more_clients_than_descriptors(speaks):
    with server(speaks) as s, contextlib.ExitStack() as stack:
        worker, = s.workers()
        (conn, ask), (second, ask_too), (third, ask_files) = (asker(s, speaks) for _ in range(3))
        for c in (conn, second, third):
            stack.enter_context(c)
        assert ask("/plain") == ask_too("/plain") == ask_files("/plain") == 200
        used, began = len(os.listdir(f"/proc/{worker}/fd")), time.monotonic()
        with limited(resource.RLIMIT_NOFILE, used + SPARE, worker):
            others = [stack.enter_context(Conn(s.address)) for _ in range(3 * SPARE)]  # without a word
            s.wait_log(r"\[ERROR\] 127.0.0.1:\d+: cannot accept: Too many open files; trying again")
            idles(s, worker, s.figure(PAUSES))
            for _ in range(10):
                assert ask("/plain") == 200
            assert ask_files("/static/files.py") == 503 and ask_too("/fails") == 500
            # One more comes, and is served when others have gone.
            answers = []
            late = threading.Thread(target=lambda: answers.append(asker(s, speaks)[1]("/plain")))
            late.start()
            for c in others:
                c.close()
            late.join()
            assert answers == [200]
        for path in ("/plain", "/fails", "/static/files.py"):
            c, ask = asker(s, speaks)
            with c:
                assert ask(path) == 200
        assert s.log().count("cannot accept") <= 2 + (time.monotonic() - began) / 10, "told once in ten seconds"


def test_an_application_that_holds_every_descriptor():
    with server() as s, s.connect() as c:
        worker, = s.workers()
        with limited(resource.RLIMIT_NOFILE, len(os.listdir(f"/proc/{worker}/fd")) + SPARE, worker):
            n, _, why = c.request("GET", "/hold?n=1000").body.decode().partition(" ")
            assert int(n) >= SPARE - 5 and why == "Too many open files"
            assert c.request("GET", "/plain").status == 200
            waiting = Conn(s.address).send_request("GET", "/plain")
            s.wait_log("cannot accept: Too many open files")
            idles(s, worker, s.figure(PAUSES))
            assert c.request("GET", "/drop").body == b"dropped"
            assert waiting.read_response().status == 200
            waiting.close()
        assert s.workers() == [worker]
