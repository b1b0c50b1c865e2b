# SPDX-License-Identifier: BSD-3-Clause
"""tine --import-gunicorn FILE or WORDS: what is printed can be loaded, means the same, and names what has no counterpart."""

import os
import re
import subprocess

import pytest

from lib.build import binary
from lib.importers import importer, keys_of
from lib.waiting import DEADLINE

DJANGO = """
# As deployment guides for Django have it.
import multiprocessing
import os

bind = "unix:/run/shop/gunicorn.sock"
workers = multiprocessing.cpu_count() * 2 + 1
wsgi_app = "shop.wsgi"
chdir = "/srv/shop"
user = "www-data"
group = "www-data"
umask = 0o007
timeout = 120
graceful_timeout = 45
max_requests = 1000
max_requests_jitter = 50
accesslog = "/var/log/shop/access.log"
errorlog = "/var/log/shop/error.log"
loglevel = "WARNING"
proc_name = "shop"
pidfile = "/run/shop/gunicorn.pid"
raw_env = ["DJANGO_SETTINGS_MODULE=shop.settings", "PRICE=5$", "SCRIPT_NAME=/shop"]
secure_scheme_headers = {"X-FORWARDED-PROTOCOL": "ssl"}
worker_tmp_dir = "/dev/shm"
MY_OWN = "a helper"
"""

FASTAPI = """
# The configuration of a widely used container image for FastAPI.
import json
import multiprocessing
import os

workers_per_core = float(os.getenv("WORKERS_PER_CORE", "1"))
host = os.getenv("HOST", "0.0.0.0")
port = os.getenv("PORT_OF_IT", "80")
bind = f"{host}:{port}"
worker_class = "uvicorn.workers.UvicornWorker"
workers = max(int(workers_per_core * multiprocessing.cpu_count()), 2)
loglevel = "info"
accesslog = "-" or None
errorlog = "-" or None
worker_tmp_dir = "/dev/shm"
graceful_timeout = 120
timeout = 120
keepalive = 5
forwarded_allow_ips = "10.0.0.0/8, 192.168.1.1"
print(json.dumps({"loglevel": loglevel}))
"""

HOOKS = """
bind = ["127.0.0.1:8001", "[::1]:8001", "fd://3", "localhost"]
backlog = 64
worker_class = "gthread"
threads = 8
preload_app = True
limit_request_line = 0
limit_request_fields = 5000
access_log_format = '%(h)s "%(r)s" %(s)s %({X-Request-Id}i)s %(D)s'
logconfig_dict = {"version": 1}
statsd_host = "localhost:8125"
permit_obsolete_folding = True

def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)

def when_ready(server):
    pass

def pre_request(worker, req):
    worker.log.debug("%s %s", req.method, req.path)
"""

TLS = """
import ssl
bind = "0.0.0.0:443"
certfile = "/etc/ssl/shop.pem"
keyfile = "/etc/ssl/shop.key"
ca_certs = "/etc/ssl/ca.pem"
cert_reqs = ssl.CERT_REQUIRED
ciphers = "ECDHE+AESGCM"
proxy_protocol = True
proxy_allow_ips = "*"
do_handshake_on_connect = True
"""


def run(*args, env=None, cwd=None):
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=DEADLINE, cwd=cwd, stdin=subprocess.DEVNULL,
                          env=dict({k: v for k, v in os.environ.items() if k not in ("PORT", "WEB_CONCURRENCY")}, **(env or {})))


@pytest.fixture
def imported(tmp_path):
    """imported(text, words) -> (what is printed, its effective configuration as {"section.key": value})."""
    def do(text, env=None, words=("gunicorn.conf.py",)):
        if text is not None:
            (tmp_path / "gunicorn.conf.py").write_text(text)
        done = run("--import-gunicorn", *words, env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (tmp_path / "tine.ini").write_text(done.stdout)
        module = [] if re.search("^module = ", done.stdout, re.M) else ["shop.wsgi:application"]
        checked = run("-T", *module, cwd=tmp_path)
        assert (checked.returncode, checked.stderr) == (0, ""), done.stdout
        return done.stdout, keys_of(done.stdout)
    return do


def test_a_django_project(imported):
    text, keys = imported(DJANGO)
    assert keys == {
        "server.bind": "unix:/run/shop/gunicorn.sock", "server.workers": str(os.cpu_count() * 2 + 1),
        "server.chdir": "/srv/shop", "server.user": "www-data", "server.group": "www-data", "server.umask": "7",
        "server.timeout": "120", "server.graceful_timeout": "45", "server.max_requests": "1000",
        "server.max_requests_jitter": "50", "server.proc_name": "shop", "server.pidfile": "/run/shop/gunicorn.pid",
        "app.module": "shop.wsgi:application", "app.root_path": "/shop",
        "env.DJANGO_SETTINGS_MODULE": "shop.settings", "env.PRICE": "5$$",
        "http.forwarded_allow_ips": "127.0.0.1,::1,unix", "http.forwarded_family": "none",
        "log.accesslog": "/var/log/shop/access.log", "log.errorlog": "/var/log/shop/error.log", "log.loglevel": "warning",
    }
    for name in ("secure_scheme_headers", "worker_tmp_dir"):
        assert re.search(rf"^# {name} = .+: .+", text, re.M)
    assert re.search("^# no settings of gunicorn.*: MY_OWN$", text, re.M)


def test_a_fastapi_image(imported):
    text, keys = imported(FASTAPI)
    assert keys["server.bind"] == "0.0.0.0:80" and "app.interface" not in keys
    assert keys["http.forwarded_allow_ips"] == "10.0.0.0/8,192.168.1.1" and keys["http.keepalive"] == "5"
    assert keys["log.accesslog"] == keys["log.errorlog"] == "-"
    assert '{"loglevel"' not in text, "what the file prints is not part of it"
    assert "app.threads" not in keys and "# module: not in this file" in text


UNIX = "bind = 'unix:/run/shop.sock'\n"
UVICORN = "worker_class = 'uvicorn.workers.UvicornWorker'\n"
USUAL = "{'X-FORWARDED-PROTOCOL': 'ssl', 'X-FORWARDED-PROTO': 'https', 'X-FORWARDED-SSL': 'on'}"


@pytest.mark.parametrize("text, allowed, family", [
    ("", None, None), ("forwarded_allow_ips = '10.0.0.1'\n", "10.0.0.1", None), ("forwarded_allow_ips = '*'\n" + UNIX, "*", None),
    (UNIX, "127.0.0.1,::1,unix", None), ("forwarded_allow_ips = '10.0.0.1'\n" + UNIX, "10.0.0.1,unix", None),
    ("forwarded_allow_ips = ''\n" + UNIX, "unix", None), (UNIX + UVICORN, None, None),
    (f"secure_scheme_headers = {USUAL}\n", None, None), ("secure_scheme_headers = {'x-forwarded-proto': 'https'}\n", None, None),
    ("secure_scheme_headers = {'X-FORWARDED-SSL': 'on'}\n", None, "x-forwarded-ssl"),
    ("secure_scheme_headers = {}\n", None, "none"), ("secure_scheme_headers = {'X-Https': '1'}\n", None, "none"),
    ("secure_scheme_headers = {'X-FORWARDED-PROTO': 'ssl'}\n", None, "none"),
    ("secure_scheme_headers = {}\n" + UVICORN, None, None)])
def test_who_is_believed(imported, text, allowed, family):
    """What gunicorn believes and no more: any peer on a Unix socket, and X-Forwarded-Proto where it is named."""
    _, keys = imported("wsgi_app = 'a:b'\n" + text)
    assert (keys.get("http.forwarded_allow_ips"), keys.get("http.forwarded_family")) == (allowed, family)
    assert "http.forwarded_host" not in keys


def test_scheme_fields_that_are_not_read_are_named(imported):
    text, _ = imported("secure_scheme_headers = {'X-HTTPS': '1'}\n")
    assert re.search("^# secure_scheme_headers = .*: let the proxy set X-Forwarded-Proto", text, re.M)
    text, _ = imported("secure_scheme_headers = {'X-HTTPS': '1', 'X-Forwarded-Proto': 'https'}\n")
    assert re.search("^# secure_scheme_headers = .*: of these, X-Forwarded-Proto is read", text, re.M)


def test_hooks_and_lists(imported):
    text, keys = imported(HOOKS)
    assert keys["server.bind"] == ["127.0.0.1:8001", "[::1]:8001", "fd://3", "localhost:8000"]
    assert (keys.get("app.interface"), keys["app.threads"], keys["server.backlog"]) == (None, "8", "64")
    assert (keys["http.limit_request_line"], keys["http.limit_request_fields"]) == ("65535", "1000")
    assert keys["http.limit_request_head"] == "504k"
    assert keys["log.access_log_format"] == '%(h)s "%(r)s" %(s)s %({X-Request-Id}i)s %(D)s'
    assert keys["app.hooks"].endswith("gunicorn.conf.py") and "# app.hooks: post_fork, when_ready of gunicorn.conf.py" in text
    for name in ("pre_request",):
        assert re.search(rf"^# {name}\(\): no hooks; .+", text, re.M)
    for name in ("logconfig_dict", "permit_obsolete_folding"):
        assert re.search(rf"^# {name} = ", text, re.M)
    assert re.search("^(# )?preload_app = true", text, re.M) and re.search("^(# )?statsd = localhost:8125", text, re.M)


def test_tls(imported):
    """Also where this Tine has none: then the lines are comments, and the address stays."""
    text, keys = imported(TLS)
    assert keys["server.bind"].startswith("0.0.0.0:443") and keys["http.proxy_allow_ips"] == "*"
    for line in ("certfile = /etc/ssl/shop.pem", "keyfile = /etc/ssl/shop.key", "ca_certs = /etc/ssl/ca.pem",
                 "cert_reqs = required", "ciphers = ECDHE[+]AESGCM"):
        assert re.search(rf"^(# )?{line}", text, re.M), text


def test_options_of_the_environment_go_before_the_file(imported):
    args = "--bind 127.0.0.1:9000 -w 3 --bind=:9001 -k gevent --access-logfile - -e A=1 -e 'B=x y' --preload shop.wsgi"
    _, keys = imported("workers = 7\nbind = '127.0.0.1:1'\n", env={"GUNICORN_CMD_ARGS": args})
    assert keys["server.bind"] == ["127.0.0.1:9000", "0.0.0.0:9001"] and keys["server.workers"] == "3"
    assert (keys["env.A"], keys["env.B"], keys["log.accesslog"]) == ("1", "x y", "-")
    assert keys["app.module"] == "shop.wsgi:application" and keys["app.loop"] == "gevent" and "app.threads" not in keys
    _, keys = imported("worker_class = 'gunicorn.workers.ggevent.GeventWorker'\nworker_connections = 2500\nwsgi_app = 'a:b'\n")
    assert (keys["app.loop"], keys["app.threads"], keys["server.worker_connections"]) == ("gevent", "2500", "2500")


def test_values_that_are_refused_become_comments(imported):
    text, keys = imported("wsgi_app = 'a:b'\nloglevel = 'loud'\nbacklog = 1000000\nkeepalive = 3\n"
                          "access_log_format = '%(nonsense)s'\nproc_name = 'a ;b'\n")
    assert keys["http.keepalive"] == "3"
    assert re.search(r"^# loglevel = loud \(log.loglevel: .+\)$", text, re.M)
    assert re.search(r"^# backlog = 1000000 \(server.backlog: .+\)$", text, re.M)
    assert re.search(r"^# access_log_format = %\(nonsense\)s \(log.access_log_format: .+\)$", text, re.M)
    assert re.search(r"^# server.proc_name: this cannot stand in an INI file: 'a ;b'$", text, re.M)


def test_every_setting_of_gunicorn_is_known():
    """Those of the newest release at the time of writing; each is either written or explained."""
    gunicorn = pytest.importorskip("gunicorn.config")
    ours = importer("gunicorn")
    known = ours.BY_HAND | set(ours.SAME) | set(ours.WITHOUT) | set(ours.HOOKS)
    assert set(gunicorn.make_settings()) - known == set()


@pytest.mark.parametrize("text,shown", [
    ("import no_such_module_anywhere\n", "ModuleNotFoundError"), ("bind = \n", "SyntaxError"),
    ("import sys\nsys.exit('no')\n", "ended itself"), ("import os\nos._exit(0)\n", "ended the process")])
def test_a_file_that_fails(tmp_path, text, shown):
    (tmp_path / "g.py").write_text(text)
    done = run("--import-gunicorn", "g.py", cwd=tmp_path)
    assert done.returncode == 1 and shown in done.stderr and done.stdout == ""


def test_a_file_that_is_not_there(tmp_path):
    done = run("--import-gunicorn", "there_is_none.py", cwd=tmp_path)
    assert done.returncode == 1 and "there_is_none.py" in done.stderr and done.stdout == ""


def test_options_that_gunicorn_does_not_know(tmp_path):
    (tmp_path / "g.py").write_text("")
    done = run("--import-gunicorn", "g.py", cwd=tmp_path, env={"GUNICORN_CMD_ARGS": "--no-such-option"})
    assert done.returncode == 1 and "GUNICORN_CMD_ARGS" in done.stderr


@pytest.mark.parametrize("text,accesslog,errorlog", [
    ("syslog = True\n", "syslog", "syslog"),
    ("syslog = True\nsyslog_addr = 'unix:///run/log#dgram'\n", "syslog:/run/log", "syslog:/run/log"),
    ("syslog = True\nsyslog_addr = 'udp://loghost:514'\n", "syslog", "syslog"),
    ("syslog = True\naccesslog = '/var/log/access.log'\nerrorlog = '-'\n", "/var/log/access.log", "-"),
    ("syslog = False\n", None, None),
])
def test_syslog(imported, text, accesslog, errorlog):
    said, keys = imported("wsgi_app = 'a:b'\n" + text)
    assert (keys.get("log.accesslog"), keys.get("log.errorlog")) == (accesslog, errorlog)
    assert ("udp://loghost" in said) == ("udp" in text)


# --- a command line ---

def test_a_whole_command_line(imported):
    text, keys = imported(None, words=["gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-w", "4", "-b", "0.0.0.0:80", "main:app"])
    assert keys == {"server.bind": "0.0.0.0:80", "server.workers": "4", "app.module": "main:app"}, "interface = auto finds it out"
    assert "worker_class = uvicorn.workers.UvicornWorker" in text


@pytest.mark.parametrize("words", [
    ["A=1 WEB_CONCURRENCY=3 gunicorn --threads 2 'main:create_app(\"x y\", debug=False)'"],
    ["python3", "-m", "gunicorn", "--threads=2", 'main:create_app("x y", debug=False)'],
    ["/srv/venv/bin/gunicorn", 'main:create_app("x y", debug=False)', "--threads", "2"],
    ["--threads", "2", 'main:create_app("x y", debug=False)']])
def test_words_in_every_shape(imported, words):
    _, keys = imported(None, words=words)
    assert keys == {"app.module": 'main:create_app("x y", debug=False)', "app.threads": "2"}


def test_the_command_line_goes_before_the_environment_and_this_before_the_file(imported):
    _, keys = imported("workers = 2\nbacklog = 11\ntimeout = 50\n", env={"GUNICORN_CMD_ARGS": "-w 3 --backlog 12"},
                       words=["gunicorn", "-w", "4", "-c", "gunicorn.conf.py", "a:b"])
    assert (keys["server.workers"], keys["server.backlog"], keys["server.timeout"]) == ("4", "12", "50")


def test_the_default_file_is_read_with_a_command_line(imported):
    text, keys = imported("backlog = 11\n", words=["gunicorn", "a:b"])
    assert keys["server.backlog"] == "11" and "gunicorn.conf.py and command line" in text


def test_options_that_do_not_exist_are_refused(tmp_path):
    done = run("--import-gunicorn", "gunicorn", "--no-such-option", "a:b", cwd=tmp_path)
    assert done.returncode == 1 and "--no-such-option" in done.stderr and done.stdout == ""


def test_computed_values_are_marked(imported):
    text, keys = imported("import os, multiprocessing\nworkers = multiprocessing.cpu_count() * 2 + 1\nbacklog = 64\n"
                          "loglevel = os.getenv('LEVEL_OF_IT', 'info')\ntimeout = 10\nif True:\n    timeout = 20\n")
    lines = text.splitlines()
    for key, how in (("workers", "workers = multiprocessing.cpu_count() * 2 + 1"),
                     ("loglevel", "loglevel = os.getenv('LEVEL_OF_IT', 'info')"), ("timeout", "timeout = 20")):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key} = "))
        assert lines[at - 1] == f"# computed when this was written: {how}"
    assert text.count("computed") == 3, "backlog is not computed"


def test_a_computed_value_that_the_command_line_replaces_is_not_marked(imported):
    text, keys = imported("import os\nworkers = os.cpu_count()\n", words=["gunicorn", "-w", "3", "a:b"])
    assert keys["server.workers"] == "3" and "computed" not in text


def test_statsd_and_header_map(imported):
    _, keys = imported("wsgi_app = 'a:b'\nstatsd_host = '127.0.0.1:8125'\nstatsd_prefix = 'shop'\ndogstatsd_tags = 'env:prod,eu'\n"
                       "header_map = 'drop'\n")
    assert keys["metrics.statsd_prefix"] == "shop" and keys["metrics.statsd_tags"] == "env:prod,eu"
    text, _ = imported("wsgi_app = 'a:b'\nheader_map = 'refuse'\n")
    assert re.search("^# header_map = 'refuse': .*dropped", text, re.M)
    text, _ = imported("wsgi_app = 'a:b'\nheader_map = 'dangerous'\n")
    assert re.search("^# header_map = 'dangerous': .*rename", text, re.M)
