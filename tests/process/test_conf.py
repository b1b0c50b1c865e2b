# SPDX-License-Identifier: BSD-3-Clause
"""The configuration as people meet it: -t, -T, messages and exit status of the program, the sample file and tine.ini(5)."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lib.build import ROOT, binary

BUILD = Path(os.environ.get("TINE_BUILD", os.path.dirname(binary())))
SAMPLE = ROOT / "conf" / "tine.ini"


def tine(*args, cwd, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TINE_") and k not in ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")}
    return subprocess.run([binary(), *args], cwd=cwd, env={**clean, **env}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)


def values(text):
    """{(section, key): (value, origin)} of what -T printed."""
    found, section = {}, None
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(";"):
            pair, origin = re.fullmatch(r"(.*?) +; (.*)", line).groups()
            key, value = re.fullmatch(r"(\w+) =(.*)", pair).groups()
            found[section, key] = value.strip(), origin
    return found


@pytest.fixture(scope="module")
def defaults(tmp_path_factory):
    shown = tine("-T", cwd=tmp_path_factory.mktemp("empty"))
    assert shown.returncode == 0 and not shown.stderr
    return values(shown.stdout)


def test_check_says_ok(tmp_path):
    done = tine("-t", "pkg.mod:app", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration OK\n", "")


@pytest.mark.parametrize("mistake, says", [
    ("asgi_spec_version=2.4", 'expected 2.3 or 2.5'),
    ("asgi_extensions=http.response.pathsnd", 'did you mean "http.response.pathsend"?'),
    ("asgi_extensions=-all", "is no extension that there is"),
])
def test_mistakes_about_asgi_are_told(tmp_path, mistake, says):
    done = tine("-t", "-o", "app." + mistake, "pkg.mod:app", cwd=tmp_path)
    assert done.returncode == 1 and says in done.stderr


@pytest.mark.parametrize("given, shown", [
    ("none, auto", "auto"),
    ("auto, -tls", "auto, -tls"),
    ("auto, -http.response.pathsend, -http.response.trailers, -http.response.early_hint, -tls",
     "http.response.zerocopysend, websocket.http.response"),
    ("auto, http.response.pathsend", "all"),
    ("http.response.pathsend, auto", "all"),
    ("auto, none", "none"),
    ("tls", "tls"),
])
def test_extensions_are_printed_as_they_are_read(tmp_path, given, shown):
    for value in (given, shown):
        done = tine("-T", "-o", "app.asgi_extensions=" + value, "pkg.mod:app", cwd=tmp_path)
        assert values(done.stdout)["app", "asgi_extensions"][0] == shown


def test_check_imports_and_opens_nothing(tmp_path):
    (tmp_path / "trap.py").write_text("open('imported', 'w')\n")
    done = tine("-t", "-b", "unix:x.sock", "-o", "server.pidfile=pid", "-o", "log.errorlog=log", "trap:app", cwd=tmp_path)
    assert done.returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["trap.py"]


@pytest.mark.parametrize("args", [["-t"], [], ["-T"]], ids=["check", "serve", "print"])
def test_every_mistake_is_told_with_its_place(tmp_path, args):
    (tmp_path / "tine.ini").write_text("[server]\nworker = 3\nbacklog = lots\n[htpp]\n[app]\nmodule = a:b\n")
    done = tine(*args, "-o", "http.keepalive=x", cwd=tmp_path, TINE_APP_LOOPS="x")
    assert done.returncode == 1 and not done.stdout
    for words in (f"{tmp_path}/tine.ini:2: server.worker: unknown key; did you mean \"workers\"?",
                  f"{tmp_path}/tine.ini:3: server.backlog: expected a whole number from 1 to 65535, got \"lots\"",
                  f"{tmp_path}/tine.ini:4: unknown section \"htpp\"; did you mean [http]?",
                  "environment TINE_APP_LOOPS: no such setting; did you mean TINE_APP_LOOP?",
                  "command line -o: http.keepalive: expected a duration"):
        assert words in done.stderr
    assert len(done.stderr.splitlines()) == 5


@pytest.mark.parametrize("limit, message, fault", [
    ("100k", "1k", "expected at least 1m"), ("16m", "10m", "at least twice websocket.max_message_size"), (None, "1g", "at least twice"),
    ("16m", "8m", None), ("0", "1g", None), ("1m", "1k", None)])
def test_a_worker_may_keep_what_one_message_needs(tmp_path, limit, message, fault):
    limits = ["-o", f"http.limit_memory={limit}"] if limit else []
    done = tine("-t", *limits, "-o", f"websocket.max_message_size={message}", "a:b", cwd=tmp_path)
    assert (done.returncode == 0) == (fault is None), done.stderr
    assert fault is None or fault in done.stderr


def test_usage_error(tmp_path):
    done = tine("--bindd", "x", cwd=tmp_path)
    assert done.returncode == 1 and "did you mean --bind?" in done.stderr


def test_no_application(tmp_path):
    done = tine(cwd=tmp_path)
    assert done.returncode == 1 and "tine pkg.mod:attr" in done.stderr


def test_help_names_every_option(tmp_path):
    done = tine("--help", cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    for option in ("-c", "-b", "-w", "-C", "-o", "-t", "-T", "--import-gunicorn", "--help", "--version", "MODULE:ATTR"):
        assert option in done.stdout


def test_every_source_shows_as_origin(tmp_path):
    (tmp_path / "tine.ini").write_text("[server]\nbacklog = 7\n[app]\nmodule = a:b\n")
    shown = values(tine("-T", "-w", "3", cwd=tmp_path, TINE_HTTP_KEEPALIVE="1m", PORT="81").stdout)
    assert shown["server", "backlog"] == ("7", f"{tmp_path}/tine.ini:2")
    assert shown["server", "workers"] == ("3", "command line -w")
    assert shown["http", "keepalive"] == ("1m", "environment TINE_HTTP_KEEPALIVE")
    assert shown["server", "bind"] == ("0.0.0.0:81", "environment PORT")
    assert shown["server", "umask"] == ("", "default")


def test_what_is_printed_loads_to_the_same(tmp_path):
    first = tine("-T", "-b", "unix:/x proxy", "-b", "[::1]:1", "-o", "env.A=$x", "-w", "auto", "a:b", cwd=tmp_path)
    (tmp_path / "again.ini").write_text(first.stdout)
    again = tine("-T", "-c", "again.ini", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert {k: v[0] for k, v in values(again.stdout).items()} == {k: v[0] for k, v in values(first.stdout).items()}


def test_the_file_is_found_from_the_starting_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "tine.ini").write_text("[server]\nbacklog = 7\n")
    shown = values(tine("-T", "-C", "deep", cwd=tmp_path).stdout)
    assert shown["server", "backlog"][0] == "7" and shown["server", "chdir"][0] == "deep"
    assert values(tine("-T", "-c", "../tine.ini", cwd=tmp_path / "deep").stdout)["server", "backlog"][0] == "7"


def test_sample_loads_as_it_is(tmp_path, defaults):
    shown = tine("-T", "-c", str(SAMPLE), cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert values(shown.stdout) == defaults


def test_sample_has_every_key_at_its_default(tmp_path, defaults):
    text = re.sub(r"^;(\w+ ?=)", r"\1", SAMPLE.read_text(), flags=re.M)
    text = text[:text.index(";[static")] + text[text.index("[log]"):]
    (tmp_path / "all.ini").write_text(text)
    shown = tine("-T", "-c", "all.ini", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    found = values(shown.stdout)
    assert {k: v[0] for k, v in found.items() if k[0] != "env"} == {k: v[0] for k, v in defaults.items()}
    # An empty setting is written too: nothing is left at its default.
    assert [k for k, v in found.items() if v[1] == "default"] == []


def test_sample_is_what_the_key_definitions_give():
    made = subprocess.run([BUILD / "conf" / "keydoc", "ini"], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert made.stdout == SAMPLE.read_text(), "run conf/keydoc ini > conf/tine.ini"


def test_manual_names_every_key(defaults):
    page = (BUILD / "man" / "tine.ini.5").read_text()
    for section, key in defaults:
        part = page.split(f'.Ss "[{section}]"\n')[1].split("\n.Ss ")[0]
        assert f".It Sy {key}\n" in part


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_manual_has_no_fault():
    done = subprocess.run(["groff", "-mdoc", "-Tutf8", "-wmac", "-wescape", "-wdelim", BUILD / "man" / "tine.ini.5"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr
    assert "\u2018\u2019" not in done.stdout
