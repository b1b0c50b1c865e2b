# SPDX-License-Identifier: BSD-3-Clause
"""server.reload_strategy = rolling: a worker at a time, never more than one beyond those wanted, and a way back from every point."""

import contextlib
import os
import re
import signal
import threading

import pytest

from lib.load import Load
from lib.site import Site, code, serves
from lib.waiting import wait_for
from lib.watched import Watched

WORKERS = 2
# Each start of the application takes a number; what follows decides by it.
COUNTS = """
import os, pathlib
folder = pathlib.Path(__file__).parent / "starts"
folder.mkdir(exist_ok=True)
for start in range(1, 100):
    try:
        os.close(os.open(folder / str(start), os.O_CREAT | os.O_EXCL))
        break
    except FileExistsError:
        pass
"""


class Rolling(Site):
    def server(self, app=None, **server):
        config = {"server": {"workers": WORKERS, "reload_strategy": "rolling", **server}, "app": {"pythonpath": self.folder, **(app or {})}}
        return Watched("site_app:app", config, respawn=True, allow=("Traceback",))

    def counting(self, version, decides):
        self.write(COUNTS + decides + code(version))


@pytest.fixture
def site(tmp_path):
    return Rolling(tmp_path)


def all_ready(server):
    wait_for(lambda: server.ask("status")["workers_ready"] == WORKERS == len(server.workers()), what="all workers")


def generations(server):
    return sorted(w["generation"] for w in server.ask("workers")["workers"])


def most_at_once(log):
    """How many processes of workers there have been at once."""
    alive, most = set(), 0
    for pid, what in re.findall(r"worker \d+ \(pid (\d+)\) (started|exited|was killed)", log):
        (alive.add if what == "started" else alive.discard)(pid)
        most = max(most, len(alive))
    return most


@contextlib.contextmanager
def reloading(server):
    """A reload asked for over the control socket; yields a list that has its answer after the block."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(server.ask("reload")))
    thread.start()
    try:
        yield answers
    finally:
        thread.join(60)


@pytest.mark.parametrize("how", [{}, {"accept": "reuseport"}, {"app": {"preload_app": True}}], ids=["plain", "reuseport", "preload"])
def test_one_at_a_time_without_a_lost_request(site, how):
    with site.server(**how) as server:
        all_ready(server)
        before = server.workers()
        with Load(server.address, clients=3, per_connection=20) as load:
            load.more()
            site.version("two")
            answer = server.ask("reload")
            assert answer["ok"] is True and answer["generation"] == 2 and answer["workers"] == WORKERS
            load.more()
        assert load.failed == {} and load.bodies["one"] and load.bodies["two"]
        serves(server, "two")
        all_ready(server)
        assert not set(before) & set(server.workers()) and generations(server) == [2] * WORKERS
        log = server.log()
        assert most_at_once(log) == WORKERS + 1
        assert re.findall(r"reload: (\d) of 2 workers of generation 2 serve", log) == ["1"]
        assert any("STATUS=reloading: 1 of 2 workers replaced" in text for text in server.notified)


def test_a_failure_before_an_old_worker_has_left_changes_nothing(site):
    with site.server() as server:
        all_ready(server)
        before = sorted(server.workers())
        site.write("raise RuntimeError('not today')\n")
        answer = server.ask("reload")
        assert answer["ok"] is False and "RuntimeError: not today" in answer["error"]
        assert "reload failed: old workers keep serving" in server.log()
        assert sorted(server.workers()) == before and server.get("/").body == b"one"


def test_a_failure_on_the_way_goes_back(site):
    with site.server() as server:
        all_ready(server)
        before = set(server.workers())
        with Load(server.address, clients=2, per_connection=20) as load:
            load.more()
            site.counting("two", "if start == 2: raise RuntimeError('too many connections to the database')\n")
            answer = server.ask("reload")
            assert answer["ok"] is False and "too many connections to the database" in answer["error"]
            assert "reload failed: old workers come back, one at a time" in server.log()
            wait_for(lambda: generations(server) == [1] * WORKERS and server.ask("status")["workers_ready"] == WORKERS, what="the way back")
            load.more()
        assert load.failed == {}
        assert server.ask("status")["generation"] == 1
        assert len(before & set(server.workers())) == WORKERS - 1, "the others have stayed"
        assert most_at_once(server.log()) == WORKERS + 1


def test_workers_of_a_failed_roll_serve_while_the_old_ones_cannot_start(site):
    with site.server() as server:
        all_ready(server)
        with Load(server.address, clients=2, per_connection=20) as load:
            site.counting("two", "if start >= 2: raise RuntimeError('not any more')\n")
            assert server.ask("reload")["ok"] is False
            server.wait_log(r"(?s)come back, one at a time.*not any more.*worker \d starts again")
            assert generations(server).count(2) == 1 and server.ask("status")["workers_ready"] == WORKERS
            # The next roll replaces both kinds.
            site.version("three")
            assert server.ask("reload")["ok"] is True
            load.more()
        assert load.failed == {}
        wait_for(lambda: generations(server) == [3] * WORKERS, what="the end of both")
        assert most_at_once(server.log()) <= WORKERS + 1
        serves(server, "three")


GATE = "if start == 2:\n    (folder / 'waits').touch()\n    open(folder.parent / 'gate.fifo').read()\n"


@pytest.fixture
def held(site):
    """A roll whose second new worker is held while it boots: (server, answers, release())."""
    gate = site.folder / "gate.fifo"
    os.mkfifo(gate)
    with site.server() as server:
        all_ready(server)
        site.counting("two", GATE)
        with reloading(server) as answers:
            wait_for((site.folder / "starts" / "waits").exists, what="the second new worker")

            def release():
                os.close(os.open(gate, os.O_WRONLY))
            yield server, answers, release
    gate.unlink()


def test_a_new_worker_that_dies_later_is_replaced_and_the_roll_goes_on(held):
    server, answers, release = held
    old, new = ([w["pid"] for w in server.ask("workers")["workers"] if w["generation"] == g and w["state"] == "ready"] for g in (1, 2))
    assert len(old) == WORKERS - 1 and len(new) == 1
    os.kill(new[0], signal.SIGKILL)
    server.wait_log(rf"\(pid {new[0]}\) was killed")
    release()
    wait_for(lambda: answers, what="the answer")
    assert answers[0]["ok"] is True and server.get("/").body == b"two"
    all_ready(server)


def test_more_workers_are_asked_for_on_the_way(held):
    server, answers, release = held
    assert server.ask("scale 4")["ok"]
    release()
    wait_for(lambda: answers and generations(server) == [2] * 4, what="four new workers")
    assert answers[0]["ok"] is True


def test_a_stop_on_the_way(held):
    server, answers, _ = held
    server.signal(signal.SIGTERM)
    server.wait_exit()
    assert answers == [{"ok": False, "error": "the service stops"}]
