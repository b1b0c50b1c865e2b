#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""CPython's own tests of asyncio on Tine's event loop, in the main interpreter and in a sub-interpreter: the score of one CPython.

    cpython_asyncio.py PYHOST [--jobs N] [MODULE...]

PYHOST is tests/unit/pyhost, built for that CPython (.ci/gates/asyncio). All modules of its test.test_asyncio are run; a test that
does not pass and is not listed here with its reason is a failure. The last line is the sum. Standard library only.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEADLINE = 1000

WINDOWS = re.compile(r"test_(proactor_events|windows_events|windows_utils)$")  # other loops of asyncio's

# pattern of the test: why it does not pass
EXCEPTED = {
    r"test_events\.\w+\.test_internal_fds": "counts the descriptors of a self-pipe, which this loop has not",
    r"test_unix_events\.SelectorEventLoopSignalTests\.": "puts a mock in place of the signal module, which this loop does not use: libevent does it",
    r"test_sslproto\.\w+\.test_check_hostname_requires_server_hostname":
        "fails on asyncio's loop too if the tests are of a later patch release than the library",
    r"test_runners\.RunTests\.test_loop_factory_default_event_loop": "wants asyncio's own class",
}
EXCEPTED_IN_SUB = {
    r"test_events\.\w+\.test_add_signal_handler$": "expects SIGINT to have Python's handler, which is the main interpreter's",
}
# What CPython says to a test itself that calls it in a sub-interpreter.
REFUSED = re.compile(r"^ValueError: (signal|set_wakeup_fd) only works in main thread of the main interpreter$", re.M)


def default_sigint():
    """A shell starts what it puts into the background with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def host(pyhost, *args):
    """What cpython_module.py says, and the details; None when the time is over."""
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    try:
        done = subprocess.run([pyhost, *args], env=environment, capture_output=True, text=True, errors="replace", timeout=DEADLINE,
                              preexec_fn=default_sigint)
    except subprocess.TimeoutExpired as late:
        return "", f"not at its end after {DEADLINE} s\n{late.stderr}"
    return done.stdout, f"{done.stderr}\nexit status {done.returncode}"


def trace_of(name, details):
    case, _, test = name.rpartition(".")
    found = re.search(rf"^(?:FAIL|ERROR): {re.escape(test)} \([^\n]*{re.escape(case)}.*?(?=^=====|\Z)", details, re.M | re.S)
    return found[0] if found else details[-3000:]


def judge(interpreter, module, said, details):
    """Counts: run, skipped, excepted, failed; prints what failed."""
    count = Counter()
    if re.search(r"^absent: ", said, re.M):
        return count
    ran = re.search(r"^ran (\d+)$", said, re.M)
    if not ran:
        print(f"FAILED: {module} in {interpreter} did not end:\n{said[-2000:]}\n{details[-4000:]}", flush=True)
        return Counter(failed=1)
    count["run"] = int(ran[1])
    count["excepted"] = len(re.findall(r"^skip: .*would hang", said, re.M))
    count["skipped"] = len(re.findall(r"^skip: ", said, re.M)) - count["excepted"]
    reasons = EXCEPTED | (EXCEPTED_IN_SUB if interpreter == "sub" else {})
    for name in sorted(set(re.findall(r"^(?:fail|error): (\S+)", said, re.M))):
        trace = trace_of(name, details)
        known = any(re.match(pattern, name) for pattern in reasons) or interpreter == "sub" and REFUSED.search(trace)
        count["excepted" if known else "failed"] += 1
        if not known:
            print(f"FAILED: {name} in {interpreter}\n{trace}", flush=True)
    return count


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("pyhost")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options.add_argument("module", nargs="*", help="test_events, ... (default: all)")
    arguments = options.parse_args()
    script = str(HERE / "cpython_module.py")
    listed, details = host(arguments.pyhost, "--main", script)
    version = re.search(r"^version (\S+)$", listed, re.M)
    if not version:
        sys.exit(f"{listed}{details}")
    modules = arguments.module or [name for name in re.findall(r"^module (\S+)$", listed, re.M) if not WINDOWS.match(name)]
    scores = {}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        work = [(interpreter, module) for module in modules for interpreter in ("main", "sub")]

        def run(item):
            interpreter, module = item
            return host(arguments.pyhost, *(["--main"] if interpreter == "main" else []), script, module)
        for (interpreter, module), (said, details) in zip(work, pool.map(run, work)):
            scores.setdefault(interpreter, Counter()).update(judge(interpreter, module, said, details))
    for interpreter, score in scores.items():
        print(f"CPython {version[1]}, {interpreter}: {score['run']} tests of {len(modules)} modules, {score['skipped']} skipped, "
              f"{score['excepted']} excepted, {score['failed']} failed")
    bad = sum(score["failed"] for score in scores.values())
    good = sum(score["run"] - score["skipped"] - score["excepted"] for score in scores.values()) - bad
    print(f"{max(good, 0)} passed, {bad} failed")
    return 1 if bad or not good else 0


if __name__ == "__main__":
    sys.exit(main())
