# SPDX-License-Identifier: BSD-3-Clause
"""tine --import-uvicorn, -hypercorn, -granian and -uwsgi: what is printed can be loaded, means the same, and names what has no
counterpart. tests/judges/test_moving_in.py asks the servers themselves."""

import re

import pytest

from lib.importers import keys_of
from process.test_import_gunicorn import run


@pytest.fixture
def imported(tmp_path):
    """imported(server, *words, env) -> (what is printed, {"section.key": value, or the values as a list})."""
    def do(server, *words, env=None):
        done = run(f"--import-{server}", *words, env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (tmp_path / "tine.ini").write_text(done.stdout)
        for name in (".env", "a.env", "b.env"):
            (tmp_path / name).touch()
        checked = run("-T", cwd=tmp_path)
        assert (checked.returncode, checked.stderr) == (0, ""), done.stdout
        return done.stdout, keys_of(done.stdout)
    return do


LOG = {"log.loglevel": "info", "log.accesslog": "-"}


def test_uvicorn_by_default(imported):
    assert imported("uvicorn", "uvicorn", "main:app")[1] == {"server.bind": "127.0.0.1:8000", "app.module": "main:app", **LOG}


def test_uvicorn_in_production(imported):
    text, keys = imported("uvicorn", "python -m uvicorn shop.main:create_app --factory --host 0.0.0.0 --port 80 --workers 4 "
                          "--proxy-headers --forwarded-allow-ips='10.0.0.0/8,/run/nginx.sock' --timeout-keep-alive 75 --no-server-header "
                          "--timeout-graceful-shutdown 20 --limit-concurrency 100 --env-file .env --log-level trace "
                          "--no-access-log --root-path /api/ --ws-ping-interval 30.5 --loop uvloop --http httptools --header X-A:b")
    assert keys == {
        "server.bind": "0.0.0.0:80", "server.workers": "4", "server.graceful_timeout": "20", "server.env_file": ".env",
        "app.module": "shop.main:create_app()", "app.root_path": "/api", "http.forwarded_allow_ips": "10.0.0.0/8,unix",
        "http.keepalive": "75", "http.server_header": "false", "http.max_inflight": "99", "http.max_queue": "1",
        "http.queue_timeout": "1ms", "websocket.ping_interval": "30.5", "log.loglevel": "debug"}
    for name in ("loop = 'uvloop'", "http = 'httptools'", r"headers = \['X-A:b'\]"):
        assert re.search(f"^# {name}: .+", text, re.M)


def test_uvicorn_reads_its_environment(imported):
    env = {"UVICORN_PORT": "9000", "UVICORN_WORKERS": "3", "UVICORN_ACCESS_LOG": "false", "UVICORN_HOST": "0.0.0.0",
           "FORWARDED_ALLOW_IPS": "*"}
    _, keys = imported("uvicorn", "uvicorn", "--workers", "5", "main:app", env=env)
    assert (keys["server.bind"], keys["server.workers"], keys["http.forwarded_allow_ips"]) == ("0.0.0.0:9000", "5", "*")
    assert "log.accesslog" not in keys


@pytest.mark.parametrize("words, bind", [
    (["--uds", "/run/x.sock"], "unix:/run/x.sock"), (["--fd", "3"], "fd://3"), (["--host", "::1", "--port=1"], "[::1]:1"),
    (["--ssl-certfile", "c", "--ssl-keyfile", "k"], "127.0.0.1:8000 tls")])
def test_where_uvicorn_listens(imported, words, bind):
    text, keys = imported("uvicorn", "uvicorn", "main:app", *words)
    assert keys["server.bind"] == bind
    assert ("tls" in bind) == ("tls.certfile" in keys)


@pytest.mark.parametrize("server, words, shown", [
    ("uvicorn", ["uvicorn"], "no application"), ("uvicorn", ["uvicorn", "--nonsense", "a:b"], "--nonsense"),
    ("uvicorn", ["uvicorn", "a:b", "--port", "x"], "--port"), ("granian", ["granian", "--host", "h"], "no application"),
    ("hypercorn", ["there_is_none.toml"], "there_is_none.toml"), ("uwsgi", ["there_is_none.ini"], "there_is_none.ini"),
    ("uvicorn", ["uvicorn 'a:b"], "command line")])
def test_what_cannot_be_read_is_told(tmp_path, server, words, shown):
    done = run(f"--import-{server}", *words, cwd=tmp_path)
    assert done.returncode == 1 and shown in done.stderr and done.stdout == "" and "Traceback" not in done.stderr


def test_an_option_without_words(tmp_path):
    done = run("--import-uvicorn", cwd=tmp_path)
    assert done.returncode == 1 and "option --import-uvicorn needs a value" in done.stderr


def test_hypercorn_toml(imported, tmp_path):
    (tmp_path / "hypercorn.toml").write_text('''
bind = ["0.0.0.0:443", "unix:/run/h.sock"]
insecure_bind = "0.0.0.0:80"
application_path = "shop.asgi:app"
workers = 3
certfile = "cert.pem"
keyfile = "key.pem"
verify_mode = "CERT_REQUIRED"
ca_certs = "ca.pem"
umask = 7
keep_alive_timeout = 65
graceful_timeout = 10.5
accesslog = "-"
loglevel = "WARNING"
statsd_host = "127.0.0.1:8125"
statsd_prefix = "shop."
root_path = "/shop/"
include_server_header = false
h2_max_concurrent_streams = 50
websocket_ping_interval = 20.0
quic_bind = ["0.0.0.0:443"]
nonsense = 1
''')
    text, keys = imported("hypercorn", "hypercorn.toml")
    assert keys == {
        "server.bind": ["0.0.0.0:443 tls", "unix:/run/h.sock tls", "0.0.0.0:80"], "server.socket_mode": "0770",
        "server.workers": "3", "server.graceful_timeout": "10.5", "app.module": "shop.asgi:app", "app.root_path": "/shop",
        "http.forwarded_family": "none", "http.keepalive": "65", "http.server_header": "false",
        "http.http2_max_concurrent_streams": "50", "websocket.ping_interval": "20.0", "tls.certfile": "cert.pem",
        "tls.keyfile": "key.pem", "tls.ca_certs": "ca.pem", "tls.cert_reqs": "required", "log.loglevel": "warning",
        "log.accesslog": "-", "metrics.statsd": "127.0.0.1:8125", "metrics.statsd_prefix": "shop"}
    assert re.search("^# quic_bind = .*HTTP/3", text, re.M) and re.search("^# no settings of hypercorn.*: nonsense$", text, re.M)


def test_hypercorn_command_line(imported, tmp_path):
    (tmp_path / "h.toml").write_text("workers = 3\nbacklog = 7\n")
    _, keys = imported("hypercorn", "hypercorn", "-c", "h.toml", "-w", "2", "-b", ":9000", "wsgi:shop:app")
    assert keys == {"server.bind": "0.0.0.0:9000", "server.workers": "2", "server.backlog": "7", "app.interface": "wsgi",
                    "app.module": "shop:app", "http.forwarded_family": "none"}


def test_granian(imported):
    text, keys = imported("granian", "granian --interface asginl --host 0.0.0.0 --port 80 --workers 2 --backpressure 64 --http 1 "
                          "--no-http1-keep-alive --workers-lifetime 6h --workers-max-rss 512 --access-log --log-level warn "
                          "--env-files a.env --env-files b.env --factory --static-path-mount public --static-path-expires 60 "
                          "--metrics --metrics-port 9100 --runtime-mode mt shop")
    assert keys == {
        "server.bind": "0.0.0.0:80", "server.workers": "2", "server.worker_connections": "64", "server.max_worker_lifetime": "6h",
        "server.max_worker_memory": "512m", "server.env_file": ["a.env", "b.env"], "app.module": "shop:create_app()",
        "app.interface": "asgi", "app.lifespan": "off", "http.forwarded_family": "none", "http.http2": "false",
        "http.keepalive": "0", "static:/static.dir": "public", "static:/static.expires": "60", "log.loglevel": "warning",
        "log.accesslog": "-", "metrics.bind": "127.0.0.1:9100"}
    assert re.search("^# runtime_mode = 'mt': .*one event loop", text, re.M)


def test_granian_with_rsgi_and_its_environment(imported):
    text, keys = imported("granian", "granian", "shop:app", env={"GRANIAN_PORT": "81", "GRANIAN_ENV_FILES": "a.env:b.env"})
    assert keys["server.bind"] == "127.0.0.1:81" and keys["server.env_file"] == ["a.env", "b.env"]
    assert "RSGI" in text and "app.interface" not in keys


DJANGO = """
# As tutorials for Django have it.
[uwsgi]
project = shop
base = /srv/%(project)
chdir = %(base)
home = %(base)/venv
module = %(project).wsgi:application
env = DJANGO_SETTINGS_MODULE=%(project).settings
env = HOME_OF_IT=$(HOME)
master = true
processes = 4
threads = 2
socket = /run/%n.sock
chmod-socket = 660
uid = www-data
harakiri = 30
max-requests = 5000
reload-on-rss = 300
static-map = /static=%(base)/static
logto = /var/log/%n.log
vacuum = true
die-on-term = true
cheaper = 2
"""


def test_uwsgi_ini(imported, tmp_path):
    (tmp_path / "shop.ini").write_text(DJANGO)
    text, keys = imported("uwsgi", "shop.ini", env={"HOME": "/root"})
    assert keys == {
        "server.bind": "unix:/run/shop.sock", "server.workers": "4", "server.max_worker_memory": "300m",
        "server.chdir": "/srv/shop", "server.max_requests": "5000", "server.user": "www-data", "server.socket_mode": "660",
        "app.module": "shop.wsgi:application", "app.interface": "wsgi", "app.threads": "2", "app.venv": "/srv/shop/venv",
        "env.DJANGO_SETTINGS_MODULE": "shop.settings", "env.HOME_OF_IT": "/root", "http.forwarded_allow_ips": "127.0.0.1,::1,unix",
        "http.request_timeout": "30", "static:/static.dir": "/srv/shop/static", "log.errorlog": "/var/log/shop.log",
        "log.accesslog": "/var/log/shop.log"}
    assert "proxy_pass instead of uwsgi_pass" in text and re.search("^# cheaper = '2': ", text, re.M)


@pytest.mark.parametrize("lines, wanted", [
    ("http = :8080\nwsgi-file = app/main.py\ncallable = app\n", {"server.bind": "0.0.0.0:8080", "app.module": "app/main.py:app"}),
    ("http-socket = 127.0.0.1:1\nwsgi = shop\nvirtualenv = v\n", {"server.bind": "127.0.0.1:1", "app.module": "shop:application",
                                                                "app.venv": "v"}),
    ("https = :443,c.pem,k.pem\nmodule = a:b\ndisable-logging = true\n", {"server.bind": "0.0.0.0:443 tls", "tls.certfile": "c.pem",
                                                                        "log.accesslog": None}),
    ("http = :80\nsocket = 127.0.0.1:3031\nmodule = a:b\n", {"server.bind": "0.0.0.0:80"}),
    ("http = :80\nmount = /api=api.py\nmount = /=site.wsgi:app\ngevent = 50\n",
     {"app.module": "site.wsgi:app", "mount:/api.module": "api.py:application", "app.threads": "50", "app.loop": "gevent"})])
def test_uwsgi_in_other_shapes(imported, tmp_path, lines, wanted):
    (tmp_path / "u.ini").write_text(f"[other]\nhttp = :1\n[uwsgi]\n{lines}")
    _, keys = imported("uwsgi", "u.ini")
    assert {name: keys.get(name) for name in wanted} == wanted


def test_uwsgi_command_line(imported):
    _, keys = imported("uwsgi", "uwsgi", "--http", ":9090", "-w", "shop:app", "-p", "4", "--master", "--enable-threads", "-L")
    assert keys == {"server.bind": "0.0.0.0:9090", "server.workers": "4", "app.module": "shop:app", "app.interface": "wsgi",
                    "app.threads": "1"}
