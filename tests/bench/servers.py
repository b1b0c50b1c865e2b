# SPDX-License-Identifier: BSD-3-Clause
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
    scheme = "http"

    """argv, cwd-relative to this folder; {port} and {config} are replaced, {config} by the name of a file with that text."""

    def __init__(self, name, argv, only=None, env=None, config=None):
        self.name, self.argv, self.only, self.env, self.config = name, argv, only, env or {}, config
        self.process = None
        self.port = None

    def start(self, log):
        self.port = free_port()
        argv = [part.replace("{port}", str(self.port)) for part in self.argv]
        if self.config:
            name = os.path.join(os.path.dirname(log.name), "%d.conf" % self.port)
            with open(name, "w") as f:
                f.write(self.config.replace("{port}", str(self.port)).replace("{folder}", os.path.dirname(log.name)))
            argv = [part.replace("{config}", name) for part in argv]
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

    def restart(self, log):
        self.stop()
        return self.start(log)

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


MOD_WSGI = """
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/apache-{port}.pid
Mutex file:{folder}
ErrorLog {folder}/apache.log
WSGISocketPrefix {folder}/wsgi
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
MaxKeepAliveRequests 0
KeepAliveTimeout 60
WSGIDaemonProcess bench processes=1 threads=4 python-path={here}
WSGIScriptAlias / {here}/apps.py
WSGICallableObject wsgi
WSGIProcessGroup bench
WSGIApplicationGroup %{GLOBAL}
<Directory {here}>
Require all granted
</Directory>
"""
APACHE_MODULES = "/usr/lib/apache2/modules"


def mod_wsgi():
    """Apache with Debian's mod_wsgi; root may not be its user."""
    if shutil.which("apache2") and os.path.exists(APACHE_MODULES + "/mod_wsgi.so"):
        who = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        text = MOD_WSGI.replace("{modules}", APACHE_MODULES).replace("{here}", HERE)
        yield Peer("mod_wsgi 4 threads", ["apache2", "-DFOREGROUND", "-f", "{config}"], config=who + text)


def all_wsgi_peers(tine, venv):
    common = [tine, "-o", "server.workers=1", "-o", "log.loglevel=error", "-b", "127.0.0.1:{port}"]
    yield Peer("tine", [*common, "-o", "app.threads=1", "apps:wsgi"])
    yield Peer("tine 4 threads", [*common, "-o", "app.threads=4", "apps:wsgi"])
    uwsgi = shutil.which("uwsgi") or shutil.which("uwsgi-core")
    if uwsgi:
        yield Peer("uWSGI", [uwsgi, "--plugin", "python3", "--http11-socket", "127.0.0.1:{port}", "--so-keepalive",
                             "--master", "--need-app", "-L", "-p", "1", "--pythonpath", HERE, "--module",
                             "apps:wsgi"])
    yield from mod_wsgi()
    yield from python_wsgi_peers(DEBIAN_PYTHON, "")
    if venv:
        yield from python_wsgi_peers(os.path.join(venv, "bin", "python"), "/pypi")


# --- static files ---

FILES = {"1KB": 1 << 10, "50KB": 50 << 10, "10MB": 10 << 20}
NGINX = """
worker_processes 1;
daemon off;
error_log stderr error;
pid {folder}/nginx-{port}.pid;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    types { text/plain txt; }
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server { listen 127.0.0.1:{port}; location /static/ { alias {files}/; } }
}
"""


def make_files(folder):
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    for name, size in FILES.items():
        with open(os.path.join(folder, name + ".txt"), "wb") as f:
            f.write(b"0123456789abcde\n" * (size // 16))


def all_static_peers(tine, venv, files):
    yield Peer("tine", [tine, "-o", "server.workers=1", "-o", "log.loglevel=error", "-b", "127.0.0.1:{port}",
                        "-o", "static:/static.dir=" + files, "builtin:hello"])
    if shutil.which("nginx"):
        who = "user root;\n" if os.geteuid() == 0 else ""
        yield Peer("nginx", ["nginx", "-c", "{config}", "-e", "stderr"], config=who + NGINX.replace("{files}", files))
    python = os.path.join(venv, "bin", "python") if venv else DEBIAN_PYTHON
    if has_module(python, "granian"):
        yield Peer("granian", [python, "-m", "granian", "--interface", "asginl", "--port", "{port}", "--workers", "1", "--no-ws",
                               "--no-log", "--static-path-route", "/static", "--static-path-mount", files, "apps:app"])


def python_websocket_peers(python, tag):
    """uvicorn with either of its protocols, gunicorn with its worker, granian, hypercorn, daphne."""
    fast = has_module(python, "uvloop", "httptools")
    loop = ["--loop", "uvloop", "--http", "httptools"] if fast else []
    quiet = ["--log-level", "error"]
    protocols = {"websockets": "websockets", "websockets-sansio": "uvicorn.protocols.websockets.websockets_sansio_impl",
                 "wsproto": "wsproto"}
    for protocol, module in protocols.items():
        if has_module(python, "uvicorn", module):
            yield Peer("uvicorn %s%s" % (protocol, tag), [python, "-m", "uvicorn", "apps:websocket", "--port", "{port}",
                       "--no-access-log", "--lifespan", "off", "--ws", protocol, *quiet, *loop])
    if has_module(python, "gunicorn", "uvicorn", "websockets"):
        yield Peer("gunicorn+uvicorn" + tag, [python, "-m", "gunicorn", "apps:websocket", "-b", "127.0.0.1:{port}", "-w", "1",
                                              "-k", "uvicorn.workers.UvicornWorker", "--worker-connections", "20000", *quiet])
    if has_module(python, "granian"):
        yield Peer("granian" + tag, [python, "-m", "granian", "--interface", "asginl", "--port", "{port}", "--workers", "1",
                                     "--ws", "--no-log", "--backpressure", "20000", "--loop",
                                     "uvloop" if fast else "asyncio", "apps:websocket"])
    if has_module(python, "hypercorn", "wsproto"):
        yield Peer("hypercorn" + tag, [python, "-m", "hypercorn", "-b", "127.0.0.1:{port}", "-w", "1", *quiet, "apps:websocket"])
    if has_module(python, "daphne"):
        yield Peer("daphne" + tag, [python, "-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "-v", "0", "apps:websocket"])


def all_websocket_peers(tine, venv):
    common = [tine, "-o", "server.workers=1", "-o", "log.loglevel=error", "-o", "server.worker_connections=20000",
              "-o", "app.lifespan=off", "-b", "127.0.0.1:{port}"]
    yield Peer("tine", [*common, "apps:websocket"])
    if b"libwebsockets.so" in open(tine, "rb").read():
        yield Peer("tine, libwebsockets", [*common, "-o", "websocket.engine=libwebsockets", "apps:websocket"])
    yield from python_websocket_peers(DEBIAN_PYTHON, "")
    if venv:
        yield from python_websocket_peers(os.path.join(venv, "bin", "python"), "/pypi")


def find_wrk():
    wrk = shutil.which("wrk")
    if not wrk:
        sys.exit("bench: wrk is not installed (apt install wrk)")
    return wrk
