# SPDX-License-Identifier: BSD-3-Clause
"""app.loop = gevent with what its users have: PostgreSQL by psycopg2, Redis, requests, Flask-SocketIO. The virtual environment is
$TINE_TEST_VENV (.ci/gates/gevent makes it); PostgreSQL and Redis are Debian's, in a folder of their own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.build import APPS
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import CLOSE, TEXT, WS, close_payload

VENV = os.environ.get("TINE_TEST_VENV")
if not VENV or not any((Path(VENV) / "lib").glob("python3.*/site-packages/psycogreen")):
    pytest.skip("no TINE_TEST_VENV with gevent and its friends", allow_module_level=True)
PROGRAMS = next((p for p in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True) if (p / "initdb").exists()), None)
if not PROGRAMS or not shutil.which("redis-server"):
    pytest.skip("PostgreSQL or Redis is not there", allow_module_level=True)
MANY = 50


def as_user(*command):
    """PostgreSQL does not run as root."""
    return [*(["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []), *map(str, command)]


@pytest.fixture(scope="module")
def postgres():
    """In a folder of its own: each run of pytest closes those of all others to other users."""
    with tempfile.TemporaryDirectory(prefix="tine-", ignore_cleanup_errors=True) as folder:
        yield from run_postgres(Path(folder))


def run_postgres(folder):
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": "/"}
    subprocess.run(as_user(PROGRAMS / "initdb", "-D", data, "-U", "tine", "-A", "trust", "--no-sync"), check=True, **quiet)
    process = subprocess.Popen(as_user(PROGRAMS / "postgres", "-D", data, "-k", folder, "-h", "", "-c", f"max_connections={MANY + 20}",
                                       "-c", "fsync=off"), **quiet)
    try:
        wait_for(lambda: subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", folder]).returncode == 0, what="PostgreSQL")
        yield folder
    finally:
        if process.poll() is None:
            os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)  # an immediate shutdown
        process.wait()


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    path = tmp_path_factory.mktemp("redis") / "socket"
    process = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", path.parent],
                               stdout=subprocess.DEVNULL)
    try:
        wait_for(path.exists, what="Redis")
        yield path
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def site(postgres, redis):
    env = {"TEST_POSTGRES": str(postgres), "TEST_REDIS": str(redis)}
    config = {"app": {"venv": VENV, "loop": "gevent", "pythonpath": str(APPS.parent)}}
    with Server("with_gevent:app", config, cwd=APPS / "pypi", env=env) as server:
        yield server


def send_many(site, path):
    conns = [site.connect() for _ in range(MANY)]
    for n, c in enumerate(conns):
        c.send_request("GET", f"{path}?n={n}")
    return conns


def answers(conns):
    found = [c.read_response().body.decode() for c in conns]
    for c in conns:
        c.close()
    return found


def test_many_wait_for_the_database_at_once(site):
    assert site.get("/hold").body == b"held"
    conns = send_many(site, "/lock")
    for n in range(MANY):
        site.wait_event(locking=str(n))
    assert site.get("/").body == b"hello"
    assert site.get("/free").body == b"freed"
    assert answers(conns) == [str(n) for n in range(MANY)]


def test_many_wait_for_redis_at_once(site):
    conns = send_many(site, "/pop")
    for n in range(MANY):
        site.wait_event(popping=str(n))
    assert site.get("/").body == b"hello"
    assert int(site.get(f"/push?n={MANY}").body) <= MANY
    assert sorted(map(int, answers(conns))) == list(range(MANY))


def test_a_request_to_the_same_worker(site):
    assert site.get(f"/self?url=http://127.0.0.1:{site.port}/").body == b"hello"


def test_flask_socketio_in_gevent_mode(site):
    open_ones = [WS(site.connect(), "/socket.io/?EIO=4&transport=websocket") for _ in range(20)]
    for w in open_ones:
        assert w.read()[3].startswith(b"0{")
        w.send(TEXT, "40")
        assert w.read()[3].startswith(b"40{")
    for n, w in enumerate(open_ones):
        w.send(TEXT, f'42["shout","hello {n}"]')
        assert w.read()[3] == b'42["heard","HELLO %d"]' % n
        w.send(TEXT, f'42["later","later {n}"]')
    for n, w in enumerate(open_ones):
        assert w.read()[3] == b'42["told","later %d"]' % n
        w.send(CLOSE, close_payload(1000))
    assert site.get("/").body == b"hello"
    assert "[ERROR]" not in site.log()
