# SPDX-License-Identifier: BSD-3-Clause
"""How an application's interpreter starts and ends: virtual environments, streams, threads, stacks, refusals."""

import os
import signal
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

HOST = Path(os.environ.get("TINE_BUILD", ".")) / "tests/unit/pyhost"
DEADLINE = 120
MODES = pytest.mark.parametrize("mode", ["sub", "main"])
pytestmark = pytest.mark.skipif(not HOST.exists(), reason=f"no {HOST}: make check builds it")


def command(tmp_path, mode, code):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    return [str(HOST), *(["--main"] if mode == "main" else []), str(script)]


# Python honours these in an application's interpreter too.
PLAIN = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONUNBUFFERED")}


def host(tmp_path, mode, code, **env):
    return subprocess.run(command(tmp_path, mode, code), env=PLAIN | env, capture_output=True, text=True,
                          timeout=DEADLINE)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """Of the embedded Python: "3.11"."""
    result = host(tmp_path_factory.mktemp("version"), "main", "import sys; print('%d.%d' % sys.version_info[:2])")
    return result.stdout.strip()


def make_venv(folder, version):
    """What `python -m venv --without-pip` makes."""
    home = Path(sys.base_prefix) / "bin"
    packages = folder / "lib" / f"python{version}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "only_in_venv.py").write_text("x = 5\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(home / f"python{version}")
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")


@MODES
def test_active_venv_is_used(tmp_path, version, mode):
    if version != sysconfig.get_python_version():
        pytest.skip("the tests run on another Python than the embedded one")
    make_venv(tmp_path / "venv", version)
    result = host(tmp_path, mode, """
        import sys, only_in_venv
        print(sys.prefix, sys.executable, only_in_venv.x)
    """, VIRTUAL_ENV=str(tmp_path / "venv"))
    assert result.stdout == f"{tmp_path}/venv {tmp_path}/venv/bin/python 5\n", result


def test_venv_of_another_python_is_named_and_left(tmp_path):
    make_venv(tmp_path / "venv", "3.1")
    result = host(tmp_path, "sub", "print('runs')", VIRTUAL_ENV=str(tmp_path / "venv"))
    assert result.stdout == "runs\n" and "made for another Python" in result.stderr


@MODES
def test_lines_appear_at_once_and_whole(tmp_path, mode):
    process = subprocess.Popen(command(tmp_path, mode, """
        import sys
        print("one", 2, "three")
        sys.stdin.readline()
    """), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=PLAIN)
    assert os.read(process.stdout.fileno(), 100) == b"one 2 three\n"
    process.communicate(b"\n", timeout=DEADLINE)
    assert process.returncode == 0


@MODES
def test_end_waits_for_threads_and_runs_atexit(tmp_path, mode):
    result = host(tmp_path, mode, """
        import atexit, threading
        go = threading.Event()
        atexit.register(lambda: print("atexit"))
        threading.Thread(target=lambda: (go.wait(), print("thread"))).start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        threading._register_atexit(go.set)
    """)
    assert result.returncode == 0 and result.stdout == "thread\natexit\n", result


@MODES
def test_stacks_of_a_hung_worker(tmp_path, mode):
    process = subprocess.Popen(command(tmp_path, mode, """
        def hung():
            print("hung")
            while True:
                pass
        hung()
    """), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"hung\n"
        os.kill(process.pid, signal.SIGUSR2)
        lines = [process.stderr.readline() for _ in range(2)]
        assert b"Current thread" in lines[0] and b"in hung" in lines[1], lines
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("code, module", [
    ("import os; os.fork()", "__main__"),
    ("import signal; signal.signal(signal.SIGALRM, print)", "signal"),
    ("raise ImportError('module a.b does not support loading in subinterpreters')", "a.b"),
    ("raise ExceptionGroup('g', [ImportError('cannot load module more than once per process', name='np')])", "np"),
    ("""
     try:
         raise ImportError("PyO3 modules do not yet support subinterpreters, see https://...")
     except ImportError:
         raise ValueError("startup failed") from None
     """, "__main__"),
])
def test_refusals_are_recognised(tmp_path, code, module):
    result = host(tmp_path, "sub", code)
    assert result.returncode == 1 and f"refuses a sub-interpreter: {module}\n" in result.stderr, result.stderr


@MODES
def test_exceptions_that_cannot_be_printed(tmp_path, mode):
    result = host(tmp_path, mode, """
        class Odd(Exception):
            def __str__(self):
                raise self
        raise Odd("\\udcff")
    """)
    assert result.returncode == 1 and "Odd" in result.stderr and "refuses" not in result.stderr


def test_sigint_is_not_taken_over(tmp_path):
    process = subprocess.Popen(command(tmp_path, "main", """
        import signal, time
        print("ready")
        time.sleep(1000)
    """), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=PLAIN,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert process.returncode == -signal.SIGINT
