# SPDX-License-Identifier: BSD-3-Clause
"""The importers, asked of the servers themselves: each known option is one that the server has, and an application meets the same
requests under the server and under Tine with what the server's own words come to.

$TINE_TEST_VENV: a virtual environment with gunicorn, uvicorn, hypercorn and granian (the gate "moving"); uwsgi is Debian's.
Everything is skipped where it is missing."""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from lib.build import ROOT
from lib.importers import importer
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import DEADLINE, wait_for
from process.test_import_gunicorn import run

VENV = os.environ.get("TINE_TEST_VENV")
APPS = str(ROOT / "tests" / "apps")


def program(name):
    found = Path(VENV, "bin", name) if VENV else None
    if found and found.exists():
        return str(found)
    if name == "uwsgi" and shutil.which("uwsgi"):
        return shutil.which("uwsgi")
    pytest.skip(f"{name} is not installed (TINE_TEST_VENV)")


def python(code):
    """What the code prints as JSON, run by the virtual environment's Python."""
    if not VENV:
        pytest.skip("TINE_TEST_VENV is not set")
    done = subprocess.run([f"{VENV}/bin/python", "-c", code], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- options ---

CLICK = """
import json, sys
__import__("{module}")
command = sys.modules["{module}"].{name}
print(json.dumps({{o: p.name for p in command.params for o in p.opts + p.secondary_opts if o.startswith("-")}}))
"""


@pytest.mark.parametrize("server, module, name", [("uvicorn", "uvicorn.main", "main"), ("granian", "granian.cli", "cli")])
def test_every_option_is_known(server, module, name):
    theirs = python(CLICK.format(module=module, name=name))
    ours = importer(server)
    known = {option: row[0] for options, row in ours.OPTIONS.items() for option in options}
    assert {option: setting for option, setting in theirs.items() if option != "--help"}.items() <= known.items()
    handled = ours.BY_HAND | set(ours.SAME) | set(ours.WITHOUT)
    assert set(theirs.values()) - {"help"} <= handled


def test_every_option_of_gunicorn_is_known():
    theirs = python("import json, gunicorn.config as c; print(json.dumps({o: s.name for s in c.make_settings().values() "
                    "for o in s.cli or ()}))")
    ours = importer("gunicorn")
    known = {option: row[0] for options, row in ours.OPTIONS.items() for option in options}
    assert theirs.items() <= known.items()


def test_every_setting_of_hypercorn_is_known():
    theirs = python("import json, hypercorn.config as c; print(json.dumps([n for n in dir(c.Config) if not n.startswith('_') and "
                    "not callable(getattr(c.Config, n)) and n not in ('log', 'ssl_enabled')]))")
    ours = importer("hypercorn")
    assert set(theirs) - {"cert_reqs"} <= ours.BY_HAND | set(ours.SAME) | set(ours.WITHOUT)


# --- the same requests ---

def ask(port):
    """What the application is told of three requests."""
    told = []
    for target, fields in (("/a%20b/c?x=1", ""), ("/p", "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"),
                           ("/q", "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Ssl: on\r\n")):
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as s:
            s.sendall(f"GET {target} HTTP/1.1\r\nHost: test\r\n{fields}Connection: close\r\n\r\n".encode())
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        told.append(json.loads(body) if b" 200 " in head.split(b"\r\n")[0] + b" " else head.split(b"\r\n")[0].decode())
    return told


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def of_server(words, port, env, cwd):
    process = subprocess.Popen(words, cwd=cwd, env={**os.environ, "PYTHONPATH": APPS, "PYTHONDONTWRITEBYTECODE": "1", **env},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(lambda: is_open(port) or process.poll() is not None, DEADLINE, "the server to listen")
        assert process.poll() is None, process.stdout.read().decode()
        return ask(port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def of_tine(server, words, port, env, cwd):
    done = run(f"--import-{server}", *words, env=env, cwd=cwd)
    assert done.returncode == 0, done.stderr
    ini = Path(cwd, "imported.ini")
    ini.write_text(done.stdout)
    with Server(None, {"server": {"bind": f"127.0.0.1:{port}"}}, args=["-c", str(ini)], cwd=cwd,
                env={**env, "PYTHONPATH": APPS}) as s:
        assert s.process.poll() is None
        return ask(port)


UVICORN_CLASS = ["-k", "uvicorn.workers.UvicornWorker"]
CASES = [
    ("gunicorn", ["arrival"], {}),
    ("gunicorn", ["arrival:make_wsgi('x', more={'a': [1, None]})", "--threads", "2"], {}),
    ("gunicorn", ["-k", "gthread", "-e", "WORD_OF_IT=yes", "arrival:application"], {}),
    ("gunicorn", ["--forwarded-allow-ips", "10.0.0.1", "arrival"], {}),
    ("gunicorn", ["arrival"], {"FORWARDED_ALLOW_IPS": "10.0.0.1"}),
    ("gunicorn", ["arrival"], {"GUNICORN_CMD_ARGS": "--env WORD_OF_IT=args"}),
    ("uvicorn", ["arrival:app"], {}),
    ("uvicorn", ["arrival:make_asgi", "--factory", "--no-proxy-headers"], {}),
    ("uvicorn", ["arrival:app", "--env-file", "vars.env", "--forwarded-allow-ips", "*"], {}),
    ("uvicorn", ["arrival:app"], {"UVICORN_FORWARDED_ALLOW_IPS": "10.0.0.1"}),
    ("hypercorn", ["arrival:app"], {}),
    ("hypercorn", ["-c", "h.toml", "arrival:app"], {}),
    ("granian", ["--interface", "asgi", "arrival:app", "--env-files", "vars.env"], {}),
    ("granian", ["--interface", "asginl", "--factory", "arrival:make_asgi"], {}),
    ("granian", ["--interface", "wsgi", "arrival:application"], {}),
    ("uwsgi", ["--wsgi-file", APPS + "/arrival.py"], {}),
    ("uwsgi", ["u.ini"], {}),
]
WHERE = {"gunicorn": ["-b", "127.0.0.1:%d"], "uvicorn": ["--port", "%d"], "hypercorn": ["-b", "127.0.0.1:%d"],
         "granian": ["--port", "%d"], "uwsgi": ["--http-socket", "127.0.0.1:%d"]}
# These do not tell a WSGI application of the client that the proxy told of, and gunicorn has two fields for the scheme: what is
# written says so, and is the reason for the note that is asked for.
DIFFERENT = {"gunicorn": ("client", "X-Forwarded-Proto says the scheme"), "uwsgi": ("client", "X-Forwarded-Proto from anybody")}


@pytest.mark.parametrize("server, words, env", CASES, ids=[f"{s}-{i}" for i, (s, _, _) in enumerate(CASES)])
def test_the_application_meets_the_same_requests(tmp_path, server, words, env):
    path = program(server)
    (tmp_path / "vars.env").write_text("WORD_OF_IT='from a file'\n")
    (tmp_path / "h.toml").write_text("root_path = ''\nworkers = 1\n")
    (tmp_path / "u.ini").write_text(f"[uwsgi]\nfolder = {APPS}\nchdir = %(folder)\nmodule = arrival\nenv = WORD_OF_IT=%n\nmaster = true\n")
    port = free_port()
    words = [*words, *(word.replace("%d", str(port)) for word in WHERE[server])]
    plugin = ["--plugin", "python3"] if server == "uwsgi" and path.startswith("/usr") else []
    theirs = of_server([path, *plugin, *words], port, env, tmp_path)
    ours = of_tine(server, [path, *words], port, env, tmp_path)
    assert all(isinstance(told, dict) for told in ours + theirs)
    if server in DIFFERENT:
        field, note = DIFFERENT[server]
        assert note in (tmp_path / "imported.ini").read_text()
        for told in theirs + ours:
            told.pop(field)
        theirs, ours = theirs[:2], ours[:2]
    assert ours == theirs
