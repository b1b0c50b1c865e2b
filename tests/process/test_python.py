# SPDX-License-Identifier: BSD-3-Clause
"""Which Python the workers are: how it is chosen, refused, and changed by a reload; and what an application finds in it.

Where Python is in the program (--with-embedded-python), only the tests of what an application finds are run.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.build import binary, hosted, modules, own_python, pythons
from lib.load import Load
from lib.procfs import name_of
from lib.server import Server
from lib.waiting import wait_for

only_hosted = pytest.mark.skipif(not hosted(), reason="Python is in the program")
MODES = {"sub": {"interpreter": "sub"}, "main": {"interpreter": "main"}, "preload": {"preload_app": True}}

APP = """
import json
import os
import signal
import sys
import threading


def spawned(queue):
    queue.put({"no_site": sys.flags.no_site, "prefix": sys.prefix, "path": sys.path})


def spawn():
    import multiprocessing
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=spawned, args=(queue,))
    child.start()
    answer = queue.get(timeout=20)
    child.join()
    return answer


def alarm():
    ran = []
    signal.signal(signal.SIGALRM, lambda *_: ran.append(threading.current_thread() is threading.main_thread()))
    signal.raise_signal(signal.SIGALRM)
    return {"ran": ran}


def look():
    return {"executable": sys.executable, "prefix": sys.prefix, "version": list(sys.version_info[:2]), "argv": sys.argv,
            "orig_argv": sys.orig_argv, "no_site": sys.flags.no_site, "path": sys.path, "pid": os.getpid(),
            "main": sorted(vars(sys.modules["__main__"])), "host": [name for name in sys.modules if "tine_host" in name]}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    body = json.dumps({"/": look, "/spawn": spawn, "/alarm": alarm}[scope["path"]]()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture(autouse=True)
def choice(request, monkeypatch):
    """The Python that all tests are run with (TINE_TEST_PYTHON) is for those of what an application finds, not of how one is
    chosen."""
    if "mode" not in request.fixturenames:
        monkeypatch.delenv("TINE_TEST_PYTHON", raising=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "seen_app.py").write_text(APP)
    return tmp_path


def server(folder, app=None, env=None, **options):
    config = {"server": {"workers": 1, **options.pop("server", {})}, "app": {"pythonpath": folder, **(app or {})},
              **options.pop("config", {})}
    env = {"VIRTUAL_ENV": "", **(env or {})}
    return Server("seen_app:app", config, env=env, cwd=folder, **{"respawn": True, "allow": {"Traceback", "Fatal Python error"}, **options})


def log_of_failure(folder, *args, **options):
    """Of a server that does not start, because its workers do not."""
    s = server(folder, *args, status=3, **options).start()
    try:
        assert s.wait_exit() == 3
        return s.log()
    finally:
        s.stop()


def make_venv(path, python=None):
    subprocess.run([python or own_python(), "-m", "venv", "--without-pip", path], check=True, timeout=120)
    return path


def packages_of(venv):
    return next(venv.glob("lib/python3*/site-packages"))


def look(s, path="/"):
    return json.loads(s.get(path).body)


def reload(s, expect="reloaded: generation", **app):
    mark = s.log_mark()
    s.write_config({"app": app})
    s.signal(signal.SIGHUP)
    s.wait_log(expect, mark)


# --- which one ---

@only_hosted
@pytest.mark.parametrize("how", ["app.python", "app.venv", "relative", "VIRTUAL_ENV", "./.venv", "none"])
def test_the_python_is_the_one_that_is_named_first(folder, how):
    named, active, here = folder / "named", folder / "active", folder / ".venv"
    app, env, because = {}, {}, {"relative": "app.venv", "none": "the Python that Tine was installed with",
                                 "VIRTUAL_ENV": r"the active virtual environment \(VIRTUAL_ENV\)"}.get(how, how)
    if how != "none":
        make_venv(here)
    if how not in ("none", "./.venv"):
        env["VIRTUAL_ENV"] = str(make_venv(active))
    if how in ("app.python", "app.venv", "relative"):
        make_venv(named)
        app = {"app.python": {"python": named / "bin" / "python3"}, "app.venv": {"venv": named}, "relative": {"venv": "named"}}[how]
    wanted = {"none": None, "./.venv": here, "VIRTUAL_ENV": active}.get(how, named)
    with server(folder, app, env) as s:
        seen = look(s)
        assert seen["executable"] == (str(wanted / "bin" / "python3") if wanted else own_python())
        assert not wanted or seen["prefix"] == str(wanted)
        s.wait_log(rf"Python: {seen['executable']} \({because}\)$")
        assert s.log().count("Python: ") == 1


@only_hosted
def test_a_version_or_a_name_is_looked_for_in_the_path(folder):
    make_venv(folder / "there")
    (folder / "bin").mkdir()
    (folder / "bin" / "python3.77").symlink_to(folder / "there" / "bin" / "python3")
    env = {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    for word in ("3.77", "python3.77"):
        with server(folder, {"python": word}, env) as s:
            assert look(s)["executable"] == f"{folder}/bin/python3.77"
    assert "there is no python3.78 in PATH" in log_of_failure(folder, {"python": "3.78"})


@only_hosted
def test_an_active_environment_that_cannot_be_used_is_passed_over(folder):
    with server(folder, env={"VIRTUAL_ENV": str(folder / "gone")}) as s:
        s.wait_log(r"VIRTUAL_ENV\) is not used: .*gone: it is no virtual environment")
        assert look(s)["executable"] == own_python()


@only_hosted
def test_a_reload_changes_the_environment_without_a_lost_request(folder):
    venv = make_venv(folder / "venv")
    with server(folder, server={"workers": 2}) as s, Load(s.address) as load:
        load.more()
        for app in ({"venv": venv}, {"venv": ""}, {"python": venv / "bin" / "python"}):
            reload(s, **app)
            load.more()
        load.stop()
        assert load.failed == {}
        assert look(s)["prefix"] == str(venv)


@only_hosted
@pytest.mark.skipif(len(pythons()) < 2, reason="there is one Python only that Tine has a module for")
def test_a_reload_changes_the_python_without_a_lost_request(folder):
    """Each after each other, the last and the first too."""
    with server(folder, {"python": pythons()[0]}, server={"workers": 2}) as s, Load(s.address, per_connection=20) as load:
        for python in [*pythons()[1:], pythons()[0]]:
            load.more()
            reload(s, python=python)
            load.more()
            assert look(s)["executable"] == python
        load.stop()
        assert load.failed == {}


# --- those that cannot be used ---

def script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


def disguised(path, lies):
    """A Python that is not what it says: `lies` are run in it before what it was asked to run."""
    code = f"import sys; at = sys.argv.index('-c', 1); code = sys.argv[at + 1]; sys.argv[:] = ['-c'] + sys.argv[at + 2:]; {lies}; exec(code)"
    return script(path, f'#!/bin/sh\nexec {own_python()} -S -c "{code}" "$@"\n')


def foreign(path):
    """The head of a program for no machine there is."""
    head = bytearray(64)
    head[:7], head[16:20] = b"\x7fELF\x02\x01\x01", b"\x02\x00\xcd\xab"
    path.write_bytes(head)
    path.chmod(0o755)
    return path


def with_module(venv, content):
    """An environment with a module of its own, which comes first."""
    make_venv(venv)
    place = packages_of(venv) / "tine"
    place.mkdir()
    suffix = subprocess.run([own_python(), "-c", "import importlib.machinery as m; print(m.EXTENSION_SUFFIXES[0])"],
                            stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.strip()
    (place / f"_tine{suffix}").write_bytes(content)
    return venv / "bin" / "python3"


def baseless(venv):
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python3").symlink_to("/gone/bin/python3")
    (venv / "pyvenv.cfg").write_text("home = /gone/bin\n")
    return venv


NO_PYTHON = r"before it was ready: \S+ \(app\.python\) did not get as far as Tine's module: is it a Python, and does it start\?"
# name: (makes it in a folder, the key that names it, what the log says)
UNUSABLE = {
    "missing": (lambda d: d / "python", "python", r"app\.python \S+/python: No such file or directory"),
    "a folder": (lambda d: d, "python", r"app\.python \S+: it is no program that this user can run"),
    "no Python": (lambda d: shutil.which("true"), "python", rf"exited with status 0 {NO_PYTHON}"),
    "crashes": (lambda d: script(d / "p", "#!/bin/sh\nkill -SEGV $$\n"), "python", rf"was killed by SIGSEGV.* {NO_PYTHON}"),
    "cannot load its library": (lambda d: script(d / "p", "#!/bin/sh\necho libpython3.so: cannot open >&2\nexit 127\n"), "python",
                                rf"libpython3\.so: cannot open.*exited with status 127 {NO_PYTHON}"),
    "other machine": (lambda d: foreign(d / "p"), "python", r"cannot be run: it is no program of this machine"),
    "script without #!": (lambda d: script(d / "p", "true\n"), "python", r"cannot be run: it is no program of this machine"),
    "loader is gone": (lambda d: script(d / "p", "#!/gone/sh\n"), "python", r"cannot be run: it needs a program or a loader that is not"),
    "PyPy": (lambda d: disguised(d / "p", "sys.implementation.name = 'pypy'"), "python",
             r"is pypy; Tine runs applications in CPython, 3\.11 or later: name one by app\.python or app\.venv"),
    "3.10": (lambda d: disguised(d / "p", "sys.version_info = (3, 10, 4, 'final', 0)"), "python",
             r"is CPython 3\.10\.4; Tine needs 3\.11 or later"),
    "free-threaded": (lambda d: disguised(d / "p", "sys.abiflags = 't'"), "python", r"is a free-threaded build of CPython"),
    "no module": (lambda d: disguised(d / "p", "import _imp; _imp.extension_suffixes = lambda: ['.cpython-399.so']"), "python",
                  r"Tine has no _tine\.cpython-399\.so, its module for \S+ \(CPython 3.*; it has _tine\.cpython-3\S+\.so.* -m pip install \./tine_server-\*-cp3\d\d-"),
    "lies about its version": (lambda d: with_module(d / "v", b"\x7fELF, they say"), "python",
                               r"cannot be loaded into \S+ \(CPython 3.*; install Tine for this Python anew"),
    "module of another version": (lambda d: disguised(d / "p", "import mmap; mmap.mmap(int(sys.argv[5]), 0)[:6] = b'9.9.9\\0'"), "python",
                                  r"the server is Tine 9\.9\.9, this module is Tine \d\S+: install the same version of both"),
    "no environment": (lambda d: d, "venv", r"app\.venv \S+: it is no virtual environment \(pyvenv\.cfg is missing\)"),
    "its base is gone": (lambda d: baseless(d / "v"), "venv",
                         r"the Python that it was made with is gone \(/gone/bin\): make the virtual environment again"),
}


@only_hosted
@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_python_that_cannot_be_used_is_named_and_changes_nothing(folder, kind):
    make, key, words = UNUSABLE[kind]
    place = folder / "place"
    place.mkdir()
    path = make(place)
    with server(folder) as s, Load(s.address) as load:
        before = s.workers()
        reload(s, rf"(?s:{words}).*reload failed", **{key: path})
        load.more().stop()
        assert load.failed == {} and s.workers() == before
    assert re.search(words, log_of_failure(folder, {key: path}), re.S)


@only_hosted
def test_a_python_of_the_mold_that_is_none_is_named(folder):
    log = log_of_failure(folder, {"preload_app": True, "python": shutil.which("true")})
    assert re.search(r"mold \(pid \d+\) exited with status 0: \S+/true \(app\.python\) did not get as far", log)


@only_hosted
def test_a_python_that_vanishes_is_missed_by_the_next_worker_only(folder):
    venv = make_venv(folder / "venv")
    with server(folder, {"venv": venv}) as s:
        before, = s.workers()
        (venv / "bin").rename(venv / "kept")
        assert look(s)["prefix"] == str(venv)
        os.kill(before, signal.SIGKILL)
        s.wait_log(r"failed to start:\n.*app\.venv \S+/venv: it has no bin/python3: No such file")
        (venv / "kept").rename(venv / "bin")
        wait_for(lambda: s.workers() not in ([], [before]), what="another worker")
        s.wait_log(r"is ready.*is ready")
        assert look(s)["prefix"] == str(venv)


@only_hosted
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_what_cannot_be_read_is_not_called_missing():
    with tempfile.TemporaryDirectory(prefix="tine-python-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "seen_app.py").write_text(APP)
        venv = make_venv(folder / "venv")
        venv.chmod(0o700)
        log = log_of_failure(folder, {"venv": venv}, server={"user": "nobody"})
        assert f"{venv}/pyvenv.cfg: cannot be read: Permission denied" in log


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ending", ["raise RuntimeError('broken site')", "import sys; sys.exit('broken site')"])
def test_a_site_that_fails_is_seen(folder, mode, ending):
    """An error in sitecustomize is shown and passed over, as every Python does; one that ends Python says so."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(ending + "\n")
    env = {"PYTHONPATH": str(folder / "site"), "PYTHONVERBOSE": ""}
    if "raise" in ending:
        with server(folder, MODES[mode], env) as s:
            assert look(s)["no_site"] == 0
            assert "broken site" in s.log()
    else:
        log = log_of_failure(folder, MODES[mode], env)
        assert "broken site" in log or "Python does not start: init_import_site" in log


def test_what_it_prints_at_its_start_goes_where_the_rest_goes(folder):
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text("print('hello from site', flush=True)\n")
    with server(folder, env={"PYTHONPATH": str(folder / "site")}) as s:
        assert look(s)["argv"] == ["tine"]
        assert s.stdout().count("hello from site") == 1


# --- what an application finds ---

@pytest.mark.parametrize("mode", MODES)
def test_site_runs_once_and_what_it_registers_runs_at_the_end(folder, mode):
    """sitecustomize, .pth files, and what agents do in them: atexit functions, threads that are joined."""
    venv, told = make_venv(folder / "venv"), folder / "told"
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(f"""
import atexit, concurrent.futures, os

def tell(what):
    with open({str(told)!r}, "a") as out:
        out.write(f"{{what}} {{os.getpid()}}\\n")

tell("sitecustomize")
atexit.register(tell, "atexit")
""")
    (packages_of(venv) / "agent.pth").write_text("import sitecustomize; sitecustomize.tell('pth')\n")
    (folder / "seen_app.py").write_text(APP + """
import sitecustomize
import concurrent.futures

def last():
    import time
    while threading.main_thread().is_alive() and not ended.is_set():
        time.sleep(0.01)
    sitecustomize.tell("thread")

ended = threading.Event()
threading._register_atexit(ended.set)
def start():
    threading.Thread(target=last).start()
    return os.getpid()
plain = app
started = []
async def app(scope, receive, send):
    if not started:
        started.append(start())
    await plain(scope, receive, send)
""")
    env = {"PYTHONPATH": str(folder / "site")}
    subprocess.run([venv / "bin" / "python3", "-c", "pass"], env={**os.environ, **env}, check=True, timeout=60)
    usual = [line.split()[0] for line in told.read_text().splitlines()]  # in an environment CPython runs .pth files twice
    assert usual.pop() == "atexit"
    told.unlink()
    with server(folder, {"venv": venv, **MODES[mode]}, env) as s:
        loads, = s.molds() or s.workers()
        worker, = s.workers()
        assert look(s)["pid"] == worker
        assert told.read_text().splitlines() == [f"{what} {loads}" for what in usual]
    lines = told.read_text().splitlines()
    assert lines.count(f"atexit {worker}") == 1 and lines.count(f"thread {worker}") == 1
    assert lines.index(f"thread {worker}") < lines.index(f"atexit {worker}")


@pytest.mark.parametrize("mode", MODES)
def test_an_application_sees_a_python_that_was_started_as_usual(folder, mode):
    venv = make_venv(folder / "venv")
    with server(folder, {"venv": venv, **MODES[mode]}) as s:
        seen = look(s)
        assert (seen["argv"], seen["orig_argv"], seen["no_site"]) == (["tine"], ["tine"], 0)
        assert seen["prefix"] == str(venv) and str(packages_of(venv)) in seen["path"]
        assert seen["path"][0] == str(folder) and "" not in seen["path"]
        assert not {"boot", "sys"} & set(seen["main"]) and seen["host"] == []
        assert name_of(seen["pid"]) == "tine: worker 1"
        assert Path(f"/proc/{seen['pid']}/cmdline").read_bytes().rstrip(b"\0") == b"tine: worker 1"


@pytest.mark.parametrize("mode", MODES)
def test_processes_that_are_spawned_have_the_same_environment(folder, mode):
    venv = make_venv(folder / "venv")
    with server(folder, {"venv": venv, **MODES[mode]}) as s:
        child = look(s, "/spawn")
        assert child["no_site"] == 0 and child["prefix"] == str(venv)
        assert str(packages_of(venv)) in child["path"] and str(folder) in child["path"]


@pytest.mark.parametrize("mode", ["main", "preload"])
def test_handlers_of_signals_run_in_the_main_interpreter(folder, mode):
    with server(folder, MODES[mode]) as s:
        seen = look(s, "/alarm")
        assert seen == {"ran": [True]}


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_inherited_but_what_a_worker_needs(folder, mode):
    """Not by a worker, whatever the master was started with, and nothing by what a worker starts."""
    here, there = os.pipe()
    os.set_inheritable(there, True)
    try:
        with server(folder, {**MODES[mode]}, {}) as s:
            pass
        s = server(folder, MODES[mode])
        s.sockets.append(os.fdopen(there, "wb", closefd=False))
        with s:
            s.sockets.pop()
            stray = os.readlink(f"/proc/self/fd/{there}")
            for pid in s.workers() + s.molds():
                for fd in Path(f"/proc/{pid}/fd").iterdir():
                    name = os.readlink(fd)
                    flags = int(re.search(r"flags:\s+(\d+)", Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text()).group(1), 8)
                    assert name != stray
                    assert int(fd.name) <= 2 or flags & os.O_CLOEXEC, f"{name} would be inherited"
                    assert not name.startswith("/memfd:"), "mapped, and closed"
    finally:
        os.close(here)
        os.close(there)


# --- without one ---

@pytest.fixture
def alone(tmp_path):
    """tine without its modules, and without VIRTUAL_ENV."""
    if list(Path("/usr/lib/tine").glob("_tine.*.so")):
        pytest.skip("modules are installed here")
    program = tmp_path / "bin" / "tine"
    program.parent.mkdir()
    shutil.copy2(binary(), program)

    def run(*args):
        env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        return subprocess.run([program, *args], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return run


@only_hosted
def test_what_needs_no_python_works_without_one(alone, tmp_path):
    (tmp_path / "tine.ini").write_text("[app]\nmodule = a:b\npython = /gone/python3\n")
    checked = alone("-t", "-c", "tine.ini", "-b", "127.0.0.1:0")
    assert checked.returncode == 1 and "tine.ini:3: app.python: /gone/python3: No such file" in checked.stderr
    assert alone("-T", "-c", "tine.ini").returncode == 0
    assert alone("--help").returncode == 0
    shown = alone("--version")
    assert shown.stdout.startswith("tine ") and "Tine has no _tine." in shown.stderr


@only_hosted
def test_what_needs_one_says_that_it_has_none(alone, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("workers = 3\n")
    shown = alone("--import-gunicorn", "gunicorn.conf.py")
    assert shown.returncode == 1 and shown.stdout == ""
    assert re.fullmatch(r"tine: Tine has no _tine\..*-m pip install \./tine_server-\*-cp3\d\d-.*\n", shown.stderr)


@only_hosted
@pytest.mark.parametrize("kind", ["site-packages", "dist-packages"])
def test_the_module_is_found_where_pip_puts_it_beside_the_program(alone, tmp_path, kind):
    version = subprocess.run([own_python(), "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"], stdout=subprocess.PIPE,
                             text=True, check=True).stdout.strip()
    package = tmp_path / "lib" / version / kind / "tine"
    package.mkdir(parents=True)
    for module in modules():
        shutil.copy2(module, package)
    shown = alone("--version")
    assert shown.returncode == 0 and shown.stderr == "" and "\nPython 3." in shown.stdout


@only_hosted
def test_tools_run_in_the_environment_that_is_active(folder):
    venv = make_venv(folder / "venv")
    (packages_of(venv) / "installed_here.py").write_text("workers = 7\n")
    (folder / "gunicorn.conf.py").write_text("from installed_here import workers\nprint('noise')\n")
    env = {**os.environ, "VIRTUAL_ENV": str(venv), "PYTHONINSPECT": "1"}
    for args, words in ((["--import-gunicorn", "gunicorn.conf.py"], "workers = 7"), (["--version"], "Python 3.")):
        shown = subprocess.run([binary(), *args], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, timeout=60)
        assert shown.returncode == 0 and words in shown.stdout, shown.stderr
        assert "noise" not in shown.stdout
