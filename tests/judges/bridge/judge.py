#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the test-suites of Starlette and FastAPI against Tine and against uvicorn, each over sockets (through.py), and compares:
judge.py VENV FOLDER, where FOLDER has the unpacked sources and VENV what they need.

What fails with Tine and not with uvicorn must be in `differences` with its reason, and what is there must still differ: each line is
a pattern of tests, a colon and why. What tests only the test client itself is left out."""

import fnmatch
import os
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Left out: what tests the test client itself, and where it depends on the moment which of two sides has closed a WebSocket first.
SUITES = {"starlette": ["--ignore=tests/test_testclient.py"], "fastapi": ["-n", "2", "--ignore=tests/test_telemetry/test_websockets.py"]}
PYTEST = ["-m", "pytest", "-p", "through", "-q", "-p", "no:cacheprovider", "--timeout=60", "-W", "ignore::ResourceWarning", "-W",
          "ignore::pytest.PytestUnraisableExceptionWarning", "-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning"]


def command(server, port, venv):
    if server == "uvicorn":
        return [venv / "bin" / "uvicorn", "--port", str(port), "--no-access-log", "relay:app"]
    program = os.environ.get("TINE_BINARY", HERE.parents[2] / "build" / "tine")
    return [program, "-b", f"127.0.0.1:{port}", "-o", f"app.venv={venv}", "relay:app"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process):
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the server did not start: {process.args}")


def node_of(case):
    """As pytest names it: a test may be in a class."""
    parts, classes = case.get("classname").split("."), []
    while parts[-1][:1].isupper():
        classes.insert(0, parts.pop())
    return "/".join(parts) + ".py::" + "::".join([*classes, case.get("name")])


def read_results(path):
    """{test: whether it passed}; skipped ones are left out."""
    found = {}
    for case in xml.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        if "skipped" not in kinds:
            found[node_of(case)] = not kinds & {"failure", "error"}
    return found


def run(server, suite, sources, venv, more=()):
    with tempfile.TemporaryDirectory() as bridge:
        port, results = free_port(), Path(bridge) / "results.xml"
        environment = {**os.environ, "BRIDGE": bridge, "BRIDGE_PORT": str(port), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
        with open(Path(bridge) / "log", "w") as log, subprocess.Popen([str(w) for w in command(server, port, venv)], cwd=HERE, env=environment,
                                                                      stdout=log, stderr=log) as process:
            try:
                wait_for(port, process)
                subprocess.run([str(venv / "bin" / "python"), *PYTEST, f"--junitxml={results}", *SUITES[suite], *(more or ["tests"])],
                               cwd=sources, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
            finally:
                process.terminate()
        return read_results(results)


def differences():
    lines = [line for line in (HERE / "differences").read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(" : ", 1) for line in lines)


def is_like(suite, test, pattern):
    return fnmatch.fnmatchcase(f"{suite} {test}", pattern.replace("[", "[[]"))


def judge(suite, sources, venv, explained, used):
    tine = run("tine", suite, sources, venv)
    uvicorn = run("uvicorn", suite, sources, venv)
    suspects = [t for t, good in tine.items() if not good and uvicorn.get(t)]
    for _ in range(2):  # what fails once under load is no difference
        if not suspects:
            break
        again = run("tine", suite, sources, venv, sorted({t.split("::")[0] for t in suspects}))
        suspects = [t for t in suspects if not again.get(t)]
    print(f"{suite}: {sum(tine.values())} of {len(tine)} with tine, {sum(uvicorn.values())} of {len(uvicorn)} with uvicorn")
    faults = 0
    for test in suspects:
        patterns = [p for p in explained if is_like(suite, test, p)]
        used.update(patterns)
        if not patterns:
            faults += 1
            print(f"passes with uvicorn and not with tine: {suite} {test}")
    return sum(tine.values()), faults


def main(venv, folder):
    explained, used, passed, failed = differences(), set(), 0, 0
    for suite in SUITES:
        sources = next(Path(folder).glob(f"{suite}-*/"))
        good, faults = judge(suite, sources, Path(venv), explained, used)
        passed, failed = passed + good, failed + faults
    for pattern in explained.keys() - used:
        failed += 1
        print(f"differs no longer, to be taken out of differences: {pattern}")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
