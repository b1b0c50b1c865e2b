# SPDX-License-Identifier: BSD-3-Clause
"""An application that closes descriptors of the server: one line, the worker ends at once, another one serves. Nothing is
written into a file that has the number now."""

import signal
import time
from contextlib import ExitStack

import pytest

from lib.places import rest
from lib.server import Server
from lib.waiting import wait_for

PLACES = [("sub", False, "app", 4), ("main", False, "app", 4), ("main", True, "app", 4), ("sub", False, "wsgi", 4), ("main", True, "wsgi", 1)]
LINE = "the application has closed a descriptor of the server"


IDS = ["sub", "main", "mold", "wsgi_pool", "wsgi_mold_inline"]
everywhere = pytest.mark.parametrize("place", [PLACES[0], PLACES[4], *rest(*([place] for place in PLACES[1:4]))], ids=[IDS[0], IDS[4], *IDS[1:4]])
here_and_there = pytest.mark.parametrize("place", PLACES[::4], ids=IDS[::4])


def serves_on(*servers):
    """For longer than it takes a server to look at its descriptors."""
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        for s in servers:
            assert s.get("/").body == b"ok"


def options(place, log=None, access=None, workers=1):
    interpreter, preload, name, threads = place
    config = {"server": {"workers": workers}, "app": {"interpreter": interpreter, "preload_app": preload, "threads": threads}}
    config["log"] = {key: str(value) for key, value in (("errorlog", log), ("accesslog", access)) if value}
    return {"app": f"apps.closing:{name}", "config": config, "respawn": True, "allow": ("[CRITICAL]",)}


class Shared:
    """Two workers, so that one serves while the other is replaced."""

    def __init__(self, serve, place, log, access):
        self.server = serve(**options(place, log, access, workers=2))
        self.log = log.read_text if log else self.server.log

    def ask(self, path):
        """The answer may be lost with the worker, which has given one before."""
        with self.server.connect() as c:
            assert c.request("GET", "/").body == b"ok"
            c.send_request("GET", path)
            c.read_to_end() if path == "/all" else c.is_open()
            c.half_close().read_to_end()

    def ends_at_once(self, kind):
        """One worker ends and the other serves on. What the one has said."""
        before = set(self.server.workers())
        self.ask(f"/{kind}")
        old, = wait_for(lambda: before - set(self.server.workers()), what="the end of the worker")
        wait_for(lambda: self.server.get("/").body == b"ok", what="the other one")
        wait_for(lambda: f"(pid {old}) exited with status 7" in self.log(), what="its status")
        said = [line for line in self.log().splitlines() if f"[{old}]" in line]
        assert len(said) <= 4, said
        return sum(LINE in line for line in said)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The folder for those of a place."""
    folders = {place: tmp_path_factory.mktemp("logs") for place in PLACES}
    return folders.get


@pytest.fixture
def shared(serve, logs, place):
    return Shared(serve, place, None, logs(place) / "access.file")


@pytest.fixture
def shared_with_log(serve, logs, place):
    return Shared(serve, place, logs(place) / "error.file", None)


@everywhere
@pytest.mark.parametrize("kind", ["all", "eventpoll", "timerfd", "client", "pipe", "pipe_watched"])
def test_the_worker_ends(shared, kind):
    assert shared.ends_at_once(kind) in (1, 2)  # a thread of the pool and the loop's may notice together


@here_and_there
@pytest.mark.parametrize("kind", ["eventfd", "listener", "channel", "eventfd_reused", "listener_reused", "client_reused", "channel_reused"])
def test_whatever_it_is(shared, kind):
    assert shared.ends_at_once(kind) in (1, 2)


@here_and_there
@pytest.mark.parametrize("kind", ["access", "access_reused"])
def test_the_access_log(shared, kind):
    assert shared.ends_at_once(kind) == 1


@here_and_there
@pytest.mark.parametrize("kind", ["log", "log_reused", "all"])
def test_the_log_itself(shared_with_log, kind):
    before = shared_with_log.server.log_mark()
    shared_with_log.ends_at_once(kind)
    assert LINE in shared_with_log.server.log()[before:]  # standard error


@everywhere
def test_each_was_replaced(shared):
    wait_for(lambda: shared.log().count(" is ready") == shared.log().count("exited with status 7") + 2, what="two workers")


@here_and_there
def test_standard_streams_may_be_redirected_and_logs_reopened(place, tmp_path):
    """Whether the error log is standard error or a file."""
    with ExitStack() as running:
        def start(log, access):
            return running.enter_context(Server(**options(place, log, access)))
        redirecting = [start(None, None), start(tmp_path / "errors of the first", None)]
        access = [tmp_path / "access of one", tmp_path / "access of the other"]
        reopening = [start(None, access[0]), start(tmp_path / "errors", access[1])]
        for s in redirecting:
            s.get("/redirect")
        for path in [tmp_path / "errors", *access]:
            path.rename(f"{path}.1")
        for s, path in zip(reopening, access):
            s.signal(signal.SIGUSR1)
            wait_for(lambda: s.get("/").body == b"ok" and path.exists(), what="the new file")
        serves_on(*redirecting, *reopening)
        for s in redirecting + reopening:
            assert s.workers() == s.workers_at_ready


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
