#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""CPython's own tests of asyncio on Tine's event loop, in the main interpreter and in a sub-interpreter: the score of one CPython.

    cpython_asyncio.py PYHOST [--jobs N] [MODULE...]

PYHOST is tests/unit/pyhost, built for that CPython (.ci/gates/asyncio). All modules of its test.test_asyncio are run; a test that
does not pass and is not listed here with its reason is run once more, alone: many measure time, and the machine may be busy. What
fails again is a failure. The last line is the sum. Standard library only.
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
}
EXCEPTED_IN_SUB = {
    r"test_events\.\w+\.test_add_signal_handler$": "expects SIGINT to have Python's handler, which is the main interpreter's",
}
# What is said to a test itself that calls it in a sub-interpreter: by CPython; by us of os.fork(), because CPython 3.12 and later
# abort the child.
REFUSED = re.compile(r"^(ValueError: (signal|set_wakeup_fd) only works in main thread of the main interpreter$"
                     r"|RuntimeError: os\.fork\(\) does not work in a sub-interpreter of tine: )", re.M)


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


def failures(interpreter, said, details):
    """{name: trace} of the tests that did not pass, and how many of those may."""
    reasons = EXCEPTED | (EXCEPTED_IN_SUB if interpreter == "sub" else {})
    found = {name: trace_of(name, details) for name in sorted(set(re.findall(r"^(?:fail|error): (\S+)", said, re.M)))}
    bad = {name: trace for name, trace in found.items()
           if not any(re.match(pattern, name) for pattern in reasons) and not (interpreter == "sub" and REFUSED.search(trace))}
    return bad, len(found) - len(bad)


def judge(interpreter, module, said, details):
    """Counts, and {arguments of cpython_module.py: trace} of what failed."""
    count = Counter()
    if re.search(r"^absent: ", said, re.M):
        return count, {}
    ran = re.search(r"^ran (\d+)$", said, re.M)
    if not ran:
        return count, {(interpreter, module): f"did not end:\n{said[-2000:]}\n{details[-4000:]}"}
    bad, excepted = failures(interpreter, said, details)
    hanging = len(re.findall(r"^skip: .*would hang", said, re.M))
    count["run"] = int(ran[1])
    count["skipped"] = len(re.findall(r"^skip: ", said, re.M)) - hanging
    count["excepted"] = excepted + hanging
    return count, {(interpreter, module, name.partition(".")[2]): trace for name, trace in bad.items()}


def run(pyhost, interpreter, *args):
    said, details = host(pyhost, *(["--main"] if interpreter == "main" else []), str(HERE / "cpython_module.py"), *args)
    return judge(interpreter, args[0], said, details)


def run_all(pyhost, modules, jobs):
    """{interpreter: counts}; prints what failed, and again when alone."""
    scores = {"main": Counter(), "sub": Counter()}
    suspects = {}
    with ThreadPoolExecutor(jobs) as pool:
        work = [(interpreter, module) for module in modules for interpreter in scores]
        for (interpreter, _), (count, bad) in zip(work, pool.map(lambda item: run(pyhost, *item), work)):
            scores[interpreter].update(count)
            suspects.update(bad)
    for what, trace in suspects.items():
        count, bad = run(pyhost, *what)
        if len(what) == 2:  # a whole module
            scores[what[0]].update(count)
        scores[what[0]]["failed"] += len(bad)
        print(f"{'FAILED' if bad else 'passed when alone'}: {' '.join(what[1:])} in {what[0]}\n{trace}", flush=True)
    return scores


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("pyhost")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options.add_argument("module", nargs="*", help="test_events, ... (default: all)")
    arguments = options.parse_args()
    listed, details = host(arguments.pyhost, "--main", str(HERE / "cpython_module.py"))
    version = re.search(r"^version (\S+)$", listed, re.M)
    if not version:
        sys.exit(f"{listed}{details}")
    modules = arguments.module or [name for name in re.findall(r"^module (\S+)$", listed, re.M) if not WINDOWS.match(name)]
    scores = run_all(arguments.pyhost, modules, arguments.jobs)
    for interpreter, score in scores.items():
        print(f"CPython {version[1]}, {interpreter}: {score['run']} tests of {len(modules)} modules, {score['skipped']} skipped, "
              f"{score['excepted']} excepted, {score['failed']} failed")
    bad = sum(score["failed"] for score in scores.values())
    good = sum(score["run"] - score["skipped"] - score["excepted"] for score in scores.values()) - bad
    print(f"{max(good, 0)} passed, {bad} failed")
    return 1 if bad or not good else 0


if __name__ == "__main__":
    sys.exit(main())
