#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the test-suites of uvloop, aiohttp and anyio on Tine's event loop: judge.py VENV FOLDER [SUITE...], where FOLDER has their
unpacked sources and VENV what they need. TINE_SUITES_LOOP=asyncio or uvloop runs them on another loop, to compare.

Not run is what `excluded` lists: each line is a pattern of tests, a colon and the reason. What fails is tried once more alone: many
of these tests measure time. The last line is the sum."""

import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[2]
DEADLINE = 3600

# Of each suite: how many tests are at least judged, and those of its files that ask something of the loop.
SUITES = {
    "uvloop": (300, ["test_aiohttp", "test_base", "test_context", "test_dns", "test_executors", "test_pipes", "test_process", "test_process_spawning",
                     "test_regr1", "test_signals", "test_sockets", "test_tcp", "test_udp", "test_unix"]),
    "aiohttp": (900, ["test_client_functional", "test_client_ws_functional", "test_connector", "test_loop", "test_proxy_functional", "test_run_app",
                      "test_web_functional", "test_web_runner", "test_web_sendfile_functional", "test_web_server",
                      "test_web_websocket_functional"]),
    "anyio": (600, ["streams", "test_debugging", "test_eventloop", "test_fileio", "test_from_thread", "test_lowlevel", "test_signals", "test_sockets",
                    "test_subprocesses", "test_synchronization", "test_taskgroups", "test_to_process", "test_to_thread"]),
}
BESIDE = {"aiohttp": ["README.rst"], "anyio": ["pyproject.toml"]}  # what their tests look for
# uvloop's tests have subtests, and signals of their own: two at a time would be too much for them. One wants the real sys.stdout.
PARALLEL = {"uvloop": ["-s"], "aiohttp": ["-n", "2", "-m", "not dev_mode and not autobahn and not internal"], "anyio": ["-n", "2"]}
PYTEST = ["-m", "pytest", "-q", "-p", "tine_suites", "-p", "no:cacheprovider", "--timeout=240", "--tb=short"]


def lay_out(suite, sources, place):
    """The tests alone: the library beside them would be found before the one that is installed."""
    folder = place / suite
    shutil.copytree(next(Path(sources).glob(f"{suite}-*/")) / "tests", folder / "tests")
    for name in BESIDE.get(suite, ()):
        shutil.copy(next(Path(sources).glob(f"{suite}-*/")) / name, folder)
    return folder


def lay_out_tine(place):
    """The package as a wheel has it."""
    package = place / "tine"
    shutil.copytree(TOP / "worker/host/package", package, ignore=shutil.ignore_patterns("__pycache__"))
    for module in Path(os.environ.get("TINE_BUILD", TOP / "build")).glob("_tine.*.so"):
        (package / module.name).symlink_to(module.resolve())


def node_of(case):
    """As pytest names it: a test may be in a class."""
    parts, classes = case.get("classname").split("."), []
    while parts[-1][:1].isupper():
        classes.insert(0, parts.pop())
    return "::".join(["/".join(parts) + ".py", *classes, case.get("name")])


def read_results(path):
    """{test: whether it passed}; skipped ones are left out."""
    found = {}
    for case in xml.parse(path).iter("testcase") if path.exists() else ():
        kinds = {child.tag for child in case}
        if "skipped" not in kinds:
            found[node_of(case)] = found.get(node_of(case), True) and not kinds & {"failure", "error"}
    return found


def two_families():
    """What a command begins with so that `localhost` is ::1 too, which the suites expect and /etc/hosts may not say: a name space of
    its own, with another one."""
    names = subprocess.run(["getent", "ahostsv6", "localhost"], stdout=subprocess.PIPE, text=True).stdout
    if names.startswith("::1 "):
        return []
    return ["unshare", "--map-root-user", "--mount", "sh", "-c",
            "printf '127.0.0.1 localhost\\n::1 localhost\\n' >hosts && mount --bind hosts /etc/hosts && exec \"$@\"", "sh"]


def run(suite, folder, place, venv, arguments):
    """{test: whether it passed}, and what pytest said."""
    results = place / f"{suite}.xml"
    results.unlink(missing_ok=True)
    environment = {"TINE_SUITES_LOOP": "tine", **os.environ, "TINE_SUITES_SUITE": suite, "PYTHONDONTWRITEBYTECODE": "1",
                   "PYTHONPATH": f"{place}:{HERE}"}
    try:
        said = subprocess.run([*two_families(), str(Path(venv) / "bin/python"), *PYTEST, f"--junitxml={results}", *arguments], cwd=folder,
                              env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=DEADLINE).stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    return read_results(results), said.decode(errors="replace")


def excluded(suite):
    """[(pattern, reason)]"""
    lines = [line for line in (HERE / "excluded").read_text().splitlines() if line and not line.startswith("#")]
    pairs = [line.split(" : ", 1) for line in lines]
    return [(pattern.partition(" ")[2], reason) for pattern, reason in pairs if pattern.partition(" ")[0] == suite]


def is_like(test, pattern):
    return fnmatch.fnmatchcase(test, pattern.replace("[", "[[]"))


def judge(suite, sources, place, venv):
    """How many pass, and how many do not."""
    least, files = SUITES[suite]
    folder = lay_out(suite, sources, place)
    files = [f"tests/{name}" if (folder / "tests" / name).is_dir() else f"tests/{name}.py" for name in files]
    found, said = run(suite, folder, place, venv, [*PARALLEL[suite], *files])
    failing = [test for test, good in found.items() if not good]
    again, said_again = run(suite, folder, place, venv, failing) if failing else ({}, "")
    failing = [test for test in failing if not again.get(test)]
    print(f"{suite}: {len(found) - len(failing)} of {len(found)} tests pass, {len(excluded(suite))} patterns are excluded", flush=True)
    if len(found) < least:
        print(f"only {len(found)} tests of {suite} have run\n{said[-4000:]}")
        failing.append("too few")
    if failing:
        print(said_again[-12000:], *(f"FAILED {suite} {test}" for test in failing), sep="\n", flush=True)
    return len(found), len(failing)


def main(venv, sources, *suites):
    passed = failed = 0
    with tempfile.TemporaryDirectory() as place:
        lay_out_tine(Path(place))
        for suite in suites or SUITES:
            ran, bad = judge(suite, sources, Path(place), Path(venv).absolute())
            passed, failed = passed + max(ran - bad, 0), failed + bad
    print(f"{passed} passed, {failed} failed")
    return failed != 0 or not passed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
