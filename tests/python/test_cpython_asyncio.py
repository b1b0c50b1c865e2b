# SPDX-License-Identifier: BSD-3-Clause
"""CPython's own tests of asyncio on Tine's event loop. Skipped where Python's tests are not installed (Debian:
libpython3-testsuite). A test that fails and is not listed here with its reason is a failure."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HOST = Path(os.environ.get("TINE_BUILD", ".")) / "tests/unit/pyhost"
DEADLINE = 400

MODULES = ["base_events", "buffered_proto", "context", "eager_task_factory", "events", "futures", "futures2", "locks",
           "pep492", "queues", "runners", "sendfile", "server", "sock_lowlevel", "ssl", "sslproto", "staggered",
           "streams", "subprocess", "taskgroups", "tasks", "threads", "timeouts", "unix_events", "waitfor"]
# The others use signal.signal() or interrupt_main(), which a sub-interpreter has not.
IN_SUB = ["futures", "locks", "queues", "sendfile", "sock_lowlevel", "ssl", "streams", "taskgroups", "tasks",
          "timeouts", "waitfor"]

KNOWN = {
    r"test_events\.\w+\.test_internal_fds": "counts the self-pipe, which this loop has not",
    r"test_unix_events\.SelectorEventLoopSignalTests\.": "looks for calls to a mock of the signal module; libevent does it",
    r"test_sslproto\.\w+\.test_check_hostname_requires_server_hostname":
        "fails on asyncio's loop too if the tests are of a later patch release than the library",
    r"test_runners\.RunTests\.test_loop_factory_default_event_loop": "wants asyncio's own class",
}


def default_sigint():
    """A shell starts what it puts into the background with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("module, interpreter", [(m, "main") for m in MODULES] + [(m, "sub") for m in IN_SUB])
def test_module(module, interpreter):
    if not HOST.exists():
        pytest.skip(f"no {HOST}: make check builds it")
    command = [str(HOST), *(["--main"] if interpreter == "main" else []), str(HERE / "cpython_module.py"),
               f"test_{module}"]
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE,
                            preexec_fn=default_sigint)
    absent = re.search(r"^absent: .*", result.stdout, re.M)
    if absent:
        pytest.skip(absent[0])
    assert re.search(r"^ran [1-9]\d*$", result.stdout, re.M), result.stdout + result.stderr
    bad = set(re.findall(r"^(?:fail|error): (\S+)", result.stdout, re.M))
    unknown = sorted(name for name in bad if not any(re.match(pattern, name) for pattern in KNOWN))
    assert not unknown, "\n".join([*unknown, result.stderr])
