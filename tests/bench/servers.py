"""The servers that are compared: how each is started with one worker and the same application."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DEBIAN_PYTHON = "/usr/bin/python3"
FLOOR = "floor (C only)"


class Peer:
    def __init__(self, name, argv, only=None, env=None):
        self.name, self.argv, self.only, self.env = name, argv, only, env or {}
        self.process = None
        self.port = None

    def start(self, log):
        self.port = free_port()
        argv = [part.replace("{port}", str(self.port)) for part in self.argv]
        self.process = subprocess.Popen(
            argv, cwd=HERE, stdout=log, stderr=log, env={**os.environ, **self.env}, start_new_session=True
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as s:
                s.settimeout(1)
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.05)
        self.stop()
        return False

    def stop(self):
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        self.process = None

    def pids(self):
        """The server's process and all of its descendants."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                    todo += [int(p) for p in f.read().split()]
            except OSError:
                pass
        return found

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            try:
                with open("/proc/%d/stat" % pid) as f:
                    fields = f.read().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
            except OSError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def pss_kb(self):
        total = 0
        for pid in self.pids():
            try:
                with open("/proc/%d/smaps_rollup" % pid) as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            except OSError:
                pass
        return total


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def has_module(python, *modules):
    code = "import %s" % ", ".join(modules)
    return subprocess.run([python, "-c", code], capture_output=True, cwd="/").returncode == 0


def python_peers(python, tag):
    """uvicorn, gunicorn, hypercorn, daphne, granian, fastpysgi of one Python installation."""
    fast = has_module(python, "uvloop", "httptools")
    loop = ["--loop", "uvloop", "--http", "httptools"] if fast else []
    quiet = ["--log-level", "error"]
    if has_module(python, "uvicorn"):
        yield Peer("uvicorn" + tag, [python, "-m", "uvicorn", "apps:app", "--port", "{port}", "--no-access-log",
                                     "--lifespan", "off", *quiet, *loop])
    if has_module(python, "gunicorn", "uvicorn"):
        yield Peer("gunicorn+uvicorn" + tag, [python, "-m", "gunicorn", "apps:app", "-b", "127.0.0.1:{port}", "-w", "1",
                                              "-k", "uvicorn.workers.UvicornWorker", *quiet])
    if has_module(python, "granian"):
        yield Peer("granian" + tag, [python, "-m", "granian", "--interface", "asginl", "--port", "{port}", "--workers", "1",
                                     "--no-ws", "--no-log", "--loop", "uvloop" if fast else "asyncio", "apps:app"])
    if has_module(python, "hypercorn"):
        yield Peer("hypercorn" + tag, [python, "-m", "hypercorn", "-b", "127.0.0.1:{port}", "-w", "1", *quiet, "apps:app"])
    if has_module(python, "daphne"):
        yield Peer("daphne" + tag, [python, "-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "-v", "0", "apps:app"])
    if has_module(python, "fastpysgi"):
        code = ("import fastpysgi, apps; fastpysgi.server.hook_sigint = 0; "
                "fastpysgi.run(apps.app, host='127.0.0.1', port={port}, loglevel=0)")
        yield Peer("fastpysgi" + tag, [python, "-c", code])


def all_peers(tine, venv):
    common = ["-o", "server.workers=1", "-o", "log.loglevel=error", "-b", "127.0.0.1:{port}"]
    yield Peer(FLOOR, [tine, *common, "builtin:hello"], only={"plaintext", "headers20", "connect", "echo1KB", "echo10KB"})
    yield Peer("tine", [tine, *common, "-o", "app.lifespan=off", "apps:app"])
    yield from python_peers(DEBIAN_PYTHON, "")
    if venv:
        yield from python_peers(os.path.join(venv, "bin", "python"), "/pypi")


def python_wsgi_peers(python, tag):
    """gunicorn's workers, granian, bjoern, fastwsgi, fastpysgi of one Python installation."""
    if has_module(python, "gunicorn"):
        common = [python, "-m", "gunicorn", "apps:wsgi", "-b", "127.0.0.1:{port}", "-w", "1", "--log-level", "error"]
        yield Peer("gunicorn sync" + tag, common)
        yield Peer("gunicorn gthread 4" + tag, [*common, "-k", "gthread", "--threads", "4"])
        if has_module(python, "gunicorn", "gevent"):
            yield Peer("gunicorn gevent" + tag, [*common, "-k", "gevent"])
    if has_module(python, "granian"):
        yield Peer("granian" + tag, [python, "-m", "granian", "--interface", "wsgi", "--port", "{port}", "--workers", "1",
                                     "--no-ws", "--no-log", "apps:wsgi"])
    if has_module(python, "bjoern"):
        yield Peer("bjoern" + tag, [python, "-c", "import bjoern, apps; bjoern.run(apps.wsgi, '127.0.0.1', {port})"])
    for name in ("fastwsgi", "fastpysgi"):
        if has_module(python, name):
            code = "import %s as s, apps; s.run(apps.wsgi, host='127.0.0.1', port={port}, loglevel=0)" % name
            yield Peer(name + tag, [python, "-c", code])


def all_wsgi_peers(tine, venv):
    common = [tine, "-o", "server.workers=1", "-o", "log.loglevel=error", "-b", "127.0.0.1:{port}"]
    yield Peer("tine", [*common, "-o", "app.threads=1", "apps:wsgi"])
    yield Peer("tine, 4 threads", [*common, "-o", "app.threads=4", "apps:wsgi"])
    uwsgi = shutil.which("uwsgi") or shutil.which("uwsgi-core")
    if uwsgi:
        yield Peer("uWSGI", [uwsgi, "--plugin", "python3", "--http11-socket", "127.0.0.1:{port}", "--so-keepalive", "--master",
                             "--http-keepalive", "--need-app", "-L", "-p", "1", "--module", "apps:wsgi"])
    yield from python_wsgi_peers(DEBIAN_PYTHON, "")
    if venv:
        yield from python_wsgi_peers(os.path.join(venv, "bin", "python"), "/pypi")


def find_wrk():
    wrk = shutil.which("wrk")
    if not wrk:
        sys.exit("bench: wrk is not installed (apt install wrk)")
    return wrk
