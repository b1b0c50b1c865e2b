# SPDX-License-Identifier: BSD-3-Clause
"""Workers of which one after the other crashes: back-off, the port stays open, the healthy ones serve."""

import re
import signal

import pytest

from lib.load import Load
from lib.waiting import wait_for
from lib.watched import Watched

# All workers but the one that boots first crash as soon as they are ready, or from their 30th request on when a file says so.
CRASHES = """
import asyncio, os

def take_token():
    try:
        os.mkdir(__file__ + ".sane")
        return False
    except FileExistsError:
        return True

sick, asked = take_token(), 0

async def app(scope, receive, send):
    global asked
    if scope["type"] == "lifespan":
        await receive()
        await send({{"type": "lifespan.startup.complete"}})
        if sick and {soon}:
            asyncio.get_running_loop().call_later(0.05, os.abort)
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    asked += 1
    if sick and asked >= 30 and os.path.exists(__file__ + ".crash"):
        os.abort()
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}})
    await send({{"type": "http.response.body", "body": b"fine"}})
"""


@pytest.mark.parametrize("soon", [False, True])
def test_one_worker_crashes_again_and_again(tmp_path, soon):
    (tmp_path / "crashes.py").write_text(CRASHES.format(soon=soon))
    (tmp_path / "crashes.py.crash").touch()
    config = {"server": {"workers": 2}, "app": {"pythonpath": tmp_path, "interpreter": "main"}}
    with Watched("crashes:app", config, respawn=True, allow=("AddressSanitizer",)) as s:
        with Load(s.address, clients=4, per_connection=10) as load:
            wait_for(lambda: s.log().count("was killed by SIGABRT") >= 5, what="five crashes")
            load.more()
        crashes = s.log().count("was killed by SIGABRT")
        pauses = [float(p) for p in re.findall(r"starts again in (\S+) s", s.log())]
        # Half a second at most between lives that answered requests; longer where one ended before it answered any.
        assert pauses[0] == 0.1 and max(pauses) >= 0.4 and (soon or max(pauses) <= 0.5), pauses
        # What the crashing one had; nobody is refused, and no answer is wrong.
        assert set(load.failed) <= {"lost", "race"} and sum(load.failed.values()) <= load.clients * (crashes + 1), load.failed
        assert s.figure('tine_worker_failures_total{reason="crash"}') >= crashes
        assert s.figure('tine_worker_failures_total{reason="boot"}') == 0


def test_a_generation_that_crashes_when_it_serves(tmp_path):
    """It had been ready: the reload is done, and the next one mends it; meanwhile connections wait, and none is refused."""
    (tmp_path / "crashes.py").write_text(CRASHES.format(soon=False))
    config = {"server": {"workers": 2}, "app": {"pythonpath": tmp_path, "interpreter": "main"}}
    with Watched("crashes:app", config, respawn=True, allow=("AddressSanitizer",)) as s:
        with Load(s.address, clients=4) as load:
            load.more()
            s.signal(signal.SIGHUP)
            s.wait_log("reloaded: generation 2")
            (tmp_path / "crashes.py.crash").touch()
            wait_for(lambda: s.log().count("was killed by SIGABRT") >= 6, what="crashes")
            (tmp_path / "mended").write_text(CRASHES.format(soon=False).replace("take_token(), 0", "False, 0"))
            (tmp_path / "mended").rename(tmp_path / "crashes.py")  # never half of it for one that boots
            mark = s.log_mark()
            s.signal(signal.SIGHUP)
            s.wait_log("reloaded: generation 3", mark)
            wait_for(lambda: [w["generation"] for w in s.ask("workers")["workers"]] == [3, 3], what="the new ones alone")
            load.more()
            lost = load.failed
            load.more(300)
            assert load.failed == lost
        assert set(load.failed) <= {"lost"}, load.failed
