# SPDX-License-Identifier: BSD-3-Clause
"""Agents and debuggers that observe an application, as their users start them: what they collect arrives, in each interpreter and
with a mold.

They come in before the application by sitecustomize or a .pth file, start threads, and send what they have last at the end of the
process. In a virtual environment named by TINE_TEST_VENV (.ci/run makes it); each agent that is not in it is skipped.
"""

import http.server
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from lib.server import Server

VENV = os.environ.get("TINE_TEST_VENV")
pytestmark = pytest.mark.skipif(not VENV, reason="TINE_TEST_VENV is not set")

MODES = {"sub": {"interpreter": "sub"}, "main": {"interpreter": "main"}, "preload": {"preload_app": "true"}, "auto": {}}
APPS = {
    "fastapi": """
from fastapi import FastAPI
app = FastAPI()

@app.get("/item/{n}")
async def item(n: int):
    n = n + 1
    return {"n": n}

@app.get("/thread/{n}")
def thread(n: int):
    n = n + 2
    return {"n": n}
""",
    "flask": """
from flask import Flask
app = Flask(__name__)

@app.route("/item/<int:n>")
def item(n):
    n = n + 1
    return {"n": n}

@app.route("/thread/<int:n>")
def thread(n):
    n = n + 2
    return {"n": n}
""",
}
N = 5


def needs(*paths):
    for path in paths:
        if not list(Path(VENV).glob(path)):
            pytest.skip(f"{path} is not in {VENV}")


class Observed(Server):
    """The application started by `command`, as the agent's manual has it."""

    def __init__(self, folder, app, mode, command=(), env=None, before=""):
        (folder / "observed_app.py").write_text(before + APPS[app])
        self.command = [str(part) for part in command]
        super().__init__("observed_app:app", {"app": {"venv": VENV, "pythonpath": folder, **MODES[mode]}}, cwd=folder,
                         env={"VIRTUAL_ENV": VENV, **(env or {})}, respawn=True, deadline=120)

    def argv(self):
        return self.command + super().argv()

    def ask(self):
        for n in range(N):
            for path in "item", "thread":
                assert self.get(f"/{path}/{n}").status == 200


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture(params=APPS)
def app(request):
    needs(f"lib/python3.*/site-packages/{request.param}/__init__.py")
    return request.param


def test_sitecustomize_that_has_imported_threading(tmp_path, app, mode):
    """Threads that it starts run, its atexit functions are called once for each process, and threads are joined before."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(f"""
import atexit, os, threading

def tell(what):
    with open({str(tmp_path / "told")!r}, "a") as out:
        out.write(f"{{what}} {{os.getpid()}}\\n")

asked = threading.Event()
def watch():
    tell("thread")
    asked.wait()
    tell("thread ends")

thread = threading.Thread(target=watch)
threading._register_atexit(asked.set)
thread.start()
atexit.register(tell, "atexit")
""")
    with Observed(tmp_path, app, mode, env={"PYTHONPATH": str(tmp_path / "site")}) as s:
        s.ask()
        worker, = s.workers()
        loads, = s.molds() or [worker]
    told = (tmp_path / "told").read_text().splitlines()
    assert told[0] == f"thread {loads}" and told.count(f"atexit {worker}") == 1
    if loads == worker:  # a mold's threads are not its workers'
        assert told[1:] == [f"thread ends {worker}", f"atexit {worker}"]


def test_coverage_of_a_process_that_did_not_ask_for_it(tmp_path, app, mode):
    """COVERAGE_PROCESS_START and the .pth file: each line that ran, also those in a thread."""
    needs("bin/coverage")
    for packages in Path(VENV).glob("lib/python3.*/site-packages"):
        if not list(packages.glob("*coverage*.pth")):
            (packages / "a1_coverage.pth").write_text("import coverage; coverage.process_startup()\n")
    rc = tmp_path / "coverage.rc"
    rc.write_text(f"[run]\nparallel = true\ndata_file = {tmp_path}/data\nsource = {tmp_path}\n")
    with Observed(tmp_path, app, mode, env={"COVERAGE_PROCESS_START": str(rc)}) as s:
        s.ask()
    for what in (["combine", "-q"], ["json", "-q", "-o", str(tmp_path / "report")]):
        subprocess.run([Path(VENV) / "bin" / "coverage", *what, f"--rcfile={rc}"], cwd=tmp_path, check=True, timeout=120)
    report, = json.loads((tmp_path / "report").read_text())["files"].values()
    assert report["missing_lines"] == []


def test_opentelemetry(tmp_path, app, mode):
    needs("bin/opentelemetry-instrument", f"lib/python3.*/site-packages/opentelemetry/instrumentation/{app}")
    env = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    s = Observed(tmp_path, app, mode, [Path(VENV) / "bin" / "opentelemetry-instrument"], env)
    s.start()
    try:
        s.wait_ready()
        s.ask()
        s.signal(15)
        assert s.wait_exit() == 0
        spans = s.stdout()
        assert spans.count('"kind": "SpanKind.SERVER"') == 2 * N
        for path in "item", "thread":
            assert all(f"/{path}/{n}" in spans for n in range(N))
    finally:
        s.stop()


class Agent(http.server.BaseHTTPRequestHandler):
    """What ddtrace sends its traces to."""

    def do_GET(self):
        self.answer(b'{"endpoints": ["/v0.4/traces", "/v0.5/traces"]}')

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        while "chunked" in (self.headers.get("transfer-encoding") or "") and (size := int(self.rfile.readline(), 16)):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.server.got.append((self.path, int(self.headers.get("X-Datadog-Trace-Count") or 0)))
        self.answer(b'{"rate_by_service": {}}')

    do_PUT = do_POST

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_ddtrace(tmp_path, app, mode):
    needs("bin/ddtrace-run")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent) as agent:
        agent.got = []
        threading.Thread(target=agent.serve_forever, daemon=True).start()
        env = {"DD_TRACE_AGENT_URL": f"http://127.0.0.1:{agent.server_address[1]}", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
               "DD_REMOTE_CONFIGURATION_ENABLED": "false"}
        with Observed(tmp_path, app, mode, [Path(VENV) / "bin" / "ddtrace-run"], env) as s:
            s.ask()
        agent.shutdown()
        assert sum(n for path, n in agent.got if "traces" in path) == 2 * N, agent.got


def test_newrelic(tmp_path, app, mode):
    """In its developer mode it sends nothing, and writes what it would have sent."""
    needs("bin/newrelic-admin")
    ini = tmp_path / "newrelic.ini"
    ini.write_text(f"""[newrelic]
license_key = 0123456789012345678901234567890123456789
app_name = observed
developer_mode = true
startup_timeout = 20.0
shutdown_timeout = 20.0
audit_log_file = {tmp_path}/audit
log_file = {tmp_path}/newrelic.log
""")
    with Observed(tmp_path, app, mode, [Path(VENV) / "bin" / "newrelic-admin", "run-program"], {"NEW_RELIC_CONFIG_FILE": str(ini)}) as s:
        s.ask()
    sent = (tmp_path / "audit").read_text()
    assert "metric_data" in sent and sent.count("observed_app:item") and sent.count("observed_app:thread")


def test_debugpy_listens_and_keeps_no_worker(tmp_path, app, mode):
    """Its threads end when threading's main thread does."""
    needs("lib/python3.*/site-packages/debugpy/__init__.py")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    start = f"import debugpy\ndebugpy.listen(('127.0.0.1', {port}))\n"
    if mode == "preload":
        pytest.skip("threads that a mold starts are not its workers'")
    with Observed(tmp_path, app, mode, before=start) as s:
        s.ask()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            assert client.recv(100).startswith(b"Content-Length: ")
        s.signal(15)
        s.wait_exit()
        assert "not ended in time" not in s.log() and "are left" not in s.log()
