#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""refusals_serve.py FOLDER: projects that some CPython refuses to run in a sub-interpreter, each served from FOLDER by README's line
and no setting, by the tine beside the Python that runs this: with pandas, psycopg2 and bcrypt (which have to be installed), one that
dies by a signal when it is imported, and one that forks at its first request.

Each has to answer, and to say in one line that it lives in the main interpreter, if it does; the two last ones have to. Started
once more, it has to live in the same one from the first request on. The last line is "N passed, N failed"."""

import re
import sys
import time
import urllib.error

from wheel_serves import SECONDS, ask, serve_each, served

HEAD = """
import os
import signal
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
SUB = interpreters.get_current() != interpreters.get_main()
def at_start(): pass
def at_request(): pass
"""
PROJECTS = {
    "pandas": """
import pandas
def at_start():
    assert pandas.DataFrame({"a": [1, 2]}).a.sum() == 3
at_request = at_start
""",
    "psycopg2": """
import psycopg2.extensions
def at_start():
    assert psycopg2.extensions.parse_dsn("host=a") == {"host": "a"}
at_request = at_start
""",
    "bcrypt": """
def at_start():
    import bcrypt
    assert bcrypt.checkpw(b"a", bcrypt.hashpw(b"a", bcrypt.gensalt(4)))
at_request = at_start
""",
    "signal": """
if SUB:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGSEGV])
    os.kill(os.getpid(), signal.SIGSEGV)
""",
    "fork": """
def at_request():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
""",
}
APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        at_start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    at_request()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"sub" if SUB else b"main"})
"""
TOLD = re.compile(r"^\[.*?\] \[\d+\] \[\w+\] (the application (?:refuses|does not|lives).*)$", re.M)


def answer(address, may_fail):
    """Which interpreter has answered. The request that finds the refusal out may be answered with 500, but none may be lost."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return ask(f"http://{address}/")[1].decode()
        except urllib.error.HTTPError as e:
            assert may_fail and e.code == 500 and time.monotonic() < until, f"status {e.code}"
            time.sleep(0.05)


def start(folder, may_fail):
    """(interpreter, the lines that tell of it)"""
    with served(folder, "tine main:app") as server:
        interpreter = answer(server.addresses[-1], may_fail)
    log = "".join(server.said)
    told = TOLD.findall(log)
    assert len(told) == (interpreter == "main"), f"in {interpreter}:\n{log}"
    return interpreter, told


def serve(name, folder):
    folder.mkdir(parents=True)
    (folder / "main.py").write_text(HEAD + PROJECTS[name] + APP)
    first, told = start(folder, may_fail=name == "fork")
    assert first == "main" or name not in ("signal", "fork"), first
    print(f"{name}: {told[0] if told else 'it lives in a sub-interpreter'}")
    second, told = start(folder, may_fail=False)
    assert second == first, f"{first}, then {second}"
    assert not told or told[0].startswith("the application lives in the main interpreter, because"), told


if __name__ == "__main__":
    sys.exit(serve_each(PROJECTS, serve))
