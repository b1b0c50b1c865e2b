#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the test-suites of Starlette, FastAPI and uvicorn against Tine, over sockets (through.py, through_uvicorn.py), and what fails
against uvicorn in the same way: judge.py VENV FOLDER, where FOLDER has the unpacked sources and VENV what they need.

What fails with Tine and not with uvicorn must be in `differences` with its reason, and what is there must still fail: each line is
a pattern of tests, a colon and why. A reason that begins with "either way" is one of the moment: such a test may pass as well."""

import contextlib
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
sys.path.append(str(HERE.parents[1]))
from lib.sockets import free_port  # noqa: E402

# Of each suite: how many tests are at least judged, and pytest's arguments. Left out: what tests the test client itself, where it
# depends on the moment which of two sides has closed a WebSocket first, and what uvicorn does besides serving.
SUITES = {"starlette": (1290, ["through", "--ignore=tests/test_testclient.py", "tests"]),
          "fastapi": (5100, ["through", "--ignore=tests/test_telemetry/test_websockets.py", "tests"]),
          "uvicorn": (200, ["through_uvicorn", "tests/protocols", "tests/test_default_headers.py"])}
EITHER_WAY = "either way"
PYTEST = ["-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--timeout=60", "-W", "ignore::ResourceWarning", "-W",
          "ignore::pytest.PytestUnraisableExceptionWarning", "-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning"]


def command(server, port, venv, flags=(), folder=None):
    """What starts it; `flags` as uvicorn's command line has them, which tine's importer makes a configuration of, in `folder`."""
    uvicorn = ["uvicorn", "--port", str(port), "--no-access-log", *flags, "relay:app"]
    if server == "uvicorn":
        return [venv / "bin" / uvicorn[0], *uvicorn[1:]]
    program = os.environ.get("TINE_BINARY", HERE.parents[2] / "build" / "tine")
    if not flags:
        return [program, "-b", f"127.0.0.1:{port}", "-o", f"app.venv={venv}", "relay:app"]
    ini = Path(folder) / f"{port}.ini"
    ini.write_bytes(subprocess.run([program, "--import-uvicorn", *uvicorn], check=True, stdout=subprocess.PIPE).stdout)
    return [program, "-c", ini, "-b", f"127.0.0.1:{port}{' h2c' if '--http2' in flags else ''}", "-o", f"app.venv={venv}"]


def wait_for(port, process):
    """Until it refuses nonsense: that it listens would not mean that it serves."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as s:
                s.sendall(b"nonsense\r\n\r\n")
                if s.recv(1):
                    return
        except OSError:
            pass
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


@contextlib.contextmanager
def served(server, port, venv, environment):
    """A server for all tests of a suite; those of uvicorn start theirs as they need it."""
    with open(Path(environment["BRIDGE"]) / "log", "w") as log, subprocess.Popen(
            [str(w) for w in command(server, port, venv)], cwd=HERE, env=environment, stdout=log, stderr=log) as process:
        try:
            wait_for(port, process)
            yield
        finally:
            process.terminate()


def run(server, suite, sources, venv, files=()):
    """{test: whether it passed} of the suite, or of these of its files."""
    plugin, *arguments = SUITES[suite][1]
    arguments = [a for a in arguments if not files or a.startswith("-")] + list(files)
    with tempfile.TemporaryDirectory() as bridge:
        port, results = free_port(), Path(bridge) / "results.xml"
        environment = {**os.environ, "BRIDGE": bridge, "BRIDGE_PORT": str(port), "BRIDGE_SERVER": server, "BRIDGE_VENV": str(venv),
                       "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
        with contextlib.nullcontext() if plugin == "through_uvicorn" else served(server, port, venv, environment):
            subprocess.run([str(venv / "bin" / "python"), *PYTEST, "-p", plugin, f"--junitxml={results}", *arguments],
                           cwd=sources, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        return read_results(results)


def differences():
    lines = [line for line in (HERE / "differences").read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(" : ", 1) for line in lines)


def is_like(suite, test, pattern):
    return fnmatch.fnmatchcase(f"{suite} {test}", pattern.replace("[", "[[]"))


def files_of(tests):
    return sorted({t.split("::")[0] for t in tests})


def judge(suite, sources, venv, explained, used):
    """How many pass, and how many faults that makes: what fails is tried again (what fails once under load is no difference), then
    with uvicorn."""
    tine = run("tine", suite, sources, venv)
    failing = [t for t, good in tine.items() if not good]
    again = run("tine", suite, sources, venv, files_of(failing)) if failing else {}
    failing = [t for t in failing if not again.get(t)]
    uvicorn = run("uvicorn", suite, sources, venv, files_of(failing)) if failing else {}
    suspects = [t for t in failing if uvicorn.get(t)]
    print(f"{suite}: {len(tine) - len(failing)} of {len(tine)} pass; of the others, {len(suspects)} pass with uvicorn")
    faults = 0
    if len(tine) < SUITES[suite][0]:
        faults += 1
        print(f"only {len(tine)} tests of {suite} have run")
    for test in failing:
        patterns = [p for p in explained if is_like(suite, test, p)]
        used.update(patterns)
        if not patterns and test in suspects:
            faults += 1
            print(f"passes with uvicorn and not with tine: {suite} {test}")
    return len(tine) - len(failing), faults


def main(venv, folder):
    explained, used, passed, failed = differences(), set(), 0, 0
    for suite in SUITES:
        sources = next(Path(folder).glob(f"{suite}-*/"))
        good, faults = judge(suite, sources, Path(venv), explained, used)
        passed, failed = passed + good, failed + faults
    for pattern in (p for p in explained.keys() - used if not explained[p].startswith(EITHER_WAY)):
        failed += 1
        print(f"differs no longer, to be taken out of differences: {pattern}")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
