# SPDX-License-Identifier: BSD-3-Clause
"""An application that closes descriptors of the server: one line, the worker ends at once, another one serves. Nothing is
written into a file that has the number now."""

import signal
import time

import pytest

from lib.places import rest
from lib.server import Server
from lib.waiting import wait_for

PLACES = [("sub", False, "app", 4), ("main", False, "app", 4), ("main", True, "app", 4), ("sub", False, "wsgi", 4), ("main", True, "wsgi", 1)]
LINE = "the application has closed a descriptor of the server"


IDS = ["sub", "main", "mold", "wsgi_pool", "wsgi_mold_inline"]
everywhere = pytest.mark.parametrize("place", [PLACES[0], PLACES[4], *rest(*([place] for place in PLACES[1:4]))], ids=[IDS[0], IDS[4], *IDS[1:4]])
here_and_there = pytest.mark.parametrize("place", PLACES[::4], ids=IDS[::4])


def serves_on(s):
    """For longer than it takes the server to look at its descriptors."""
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert s.get("/").body == b"ok"


def server(place, log=None, workers=1, access=None):
    interpreter, preload, name, threads = place
    config = {"server": {"workers": workers}, "app": {"interpreter": interpreter, "preload_app": preload, "threads": threads}}
    config["log"] = {key: value for key, value in (("errorlog", log), ("accesslog", access)) if value}
    return Server(f"apps.closing:{name}", config, respawn=True, allow=("[CRITICAL]",))


def ask(s, path):
    """The answer may be lost with the worker."""
    with s.connect() as c:
        c.send_request("GET", path)
        c.read_to_end() if not c.buffer and path == "/all" else c.is_open()
        c.half_close().read_to_end()


def ends_at_once(s, old, log):
    wait_for(lambda: old not in s.workers(), what="the end of the worker")
    wait_for(lambda: s.get("/").body == b"ok", what="the next one")
    of_it = [line for line in log().splitlines() if f"[{old}]" in line]
    assert len(of_it) <= 4, of_it
    return of_it


def is_ended(place, kind):
    with server(place) as s:
        old, = s.workers()
        ask(s, f"/{kind}")
        of_it = ends_at_once(s, old, s.log)
        assert sum(LINE in line for line in of_it) in (1, 2), of_it  # a thread of the pool and the loop's may notice together
        s.wait_log(f"pid {old}.*exited with status 7")


@everywhere
@pytest.mark.parametrize("kind", ["all", "eventpoll", "timerfd", "client", "pipe", "pipe_watched"])
def test_the_worker_ends_and_is_replaced(place, kind):
    is_ended(place, kind)


@here_and_there
@pytest.mark.parametrize("kind", ["eventfd", "listener", "channel", "eventfd_reused", "listener_reused", "client_reused", "channel_reused"])
def test_whatever_it_is(place, kind):
    is_ended(place, kind)


@here_and_there
@pytest.mark.parametrize("kind", ["log", "log_reused", "all"])
def test_the_log_itself(place, kind, tmp_path):
    path = tmp_path / "error.file"
    with server(place, log=path) as s:
        old, = s.workers()
        ask(s, f"/{kind}")
        ends_at_once(s, old, path.read_text)
        assert LINE in s.log()  # standard error
        assert f"(pid {old}) exited with status 7" in path.read_text()


@here_and_there
@pytest.mark.parametrize("kind", ["access", "access_reused"])
def test_the_access_log(place, kind, tmp_path):
    with server(place, access=tmp_path / "access.file") as s:
        old, = s.workers()
        ask(s, f"/{kind}")
        of_it = ends_at_once(s, old, s.log)
        assert sum(LINE in line for line in of_it) == 1, of_it


@here_and_there
def test_standard_streams_are_the_applications_to_redirect(place, tmp_path):
    for log in (None, tmp_path / "error.file"):
        with server(place, log=log) as s:
            old, = s.workers()
            s.get("/redirect")
            serves_on(s)
            assert s.workers() == [old]


@here_and_there
def test_logs_may_be_reopened(place, tmp_path):
    for log in (None, tmp_path / "error.file"):
        with server(place, log=log, access=tmp_path / "access.file") as s:
            old, = s.workers()
            for name in ("error.file", "access.file"):
                if (tmp_path / name).exists():
                    (tmp_path / name).rename(tmp_path / (name + ".1"))
            s.signal(signal.SIGUSR1)
            wait_for(lambda: s.get("/").body == b"ok" and (tmp_path / "access.file").exists(), what="the new file")
            serves_on(s)
            assert s.workers() == [old]


def test_the_others_serve_on(tmp_path):
    with server(PLACES[0], workers=3) as s:
        wait_for(lambda: s.log().count("is ready") == 3, what="three workers")
        before = set(s.workers())
        ask(s, "/all")
        wait_for(lambda: before - set(s.workers()), what="the end of one")
        assert len(before - set(s.workers())) == 1
        assert s.get("/").body == b"ok"


@everywhere
def test_descriptors_of_the_applications_own_are_its_affair(place, tmp_path):
    """Those that a module has opened may be closed in a request, whatever number they have."""
    interpreter, preload, name, threads = place
    (tmp_path / "owning.py").write_text(
        "import os\nfrom apps import closing\nMINE = [os.open('/dev/null', os.O_RDONLY) for _ in range(40)] + list(os.pipe()) \n"
        "def drop():\n    while MINE: os.close(MINE.pop())\n    return 'ok'\n"
        "closing.close = lambda path: drop()\napp, wsgi = closing.app, closing.wsgi\n")
    config = {"server": {"workers": 1}, "app": {"interpreter": interpreter, "preload_app": preload, "threads": threads,
                                               "pythonpath": f"{tmp_path}, {__file__.rpartition('/process/')[0]}"}}
    with Server(f"owning:{name}", config) as s:
        serves_on(s)
