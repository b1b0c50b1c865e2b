# SPDX-License-Identifier: BSD-3-Clause
"""The event loop without the server: the package tine, laid out as a wheel has it, in the Python of this build."""

import os
import re
import shutil
import signal
import subprocess
import zipfile
from pathlib import Path

import pytest

from lib.build import ROOT, binary, hosted, modules, own_python

pytestmark = pytest.mark.skipif(not hosted(), reason="Python is in the program")

HERE = Path(__file__).parent
DEADLINE = 240
WHICH = """
import asyncio, sys
async def which():
    return type(asyncio.get_running_loop()).__module__
def squared(x):
    return x * x
if __name__ == "__main__":
    print(asyncio.run(which()), __name__, globals().get("__file__"), __spec__ and __spec__.name, sys.argv, sys.path[0], sep="|")
    sys.exit(5)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of modules with the package in it."""
    place = tmp_path_factory.mktemp("alone")
    shutil.copytree(ROOT / "worker/host/package", place / "tine", ignore=shutil.ignore_patterns("__pycache__"))
    for module in modules():
        (place / "tine" / module.name).symlink_to(module)
    return place


def version():
    shown = subprocess.run([binary(), "--version"], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    return shown.split()[1].rstrip(",")


def python(folder, *args, cwd=None):
    environment = dict(os.environ, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", TINE_VERSION=version())
    return subprocess.run([own_python(), *map(str, args)], env=environment, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


@pytest.mark.parametrize("how", [["-m", "tine.loop"], []], ids=["tine.loop", "python"])
def test_cases(folder, how):
    result = python(folder, *how, HERE / "alone_cases.py")
    assert re.search(r"^[1-9]\d* passed, 0 failed$", result.stdout, re.M), result.stdout + result.stderr
    assert result.returncode == 0 and result.stderr == "", result.stderr


def test_programs(folder, tmp_path):
    """Each as `python` runs it: the same __main__, arguments and path; with the loop, and the exit status of the program."""
    place = tmp_path.resolve()
    script = place / "which.py"
    script.write_text(WHICH)
    (place / "folder").mkdir()
    (place / "folder" / "__main__.py").write_text(WHICH)
    with zipfile.ZipFile(place / "archive.pyz", "w") as archive:
        archive.writestr("__main__.py", WHICH)
    (place / "link.py").symlink_to(script)
    for program in [["which.py", "-m", "x"], [script], ["link.py", "--", "a"], ["-m", "which", "-h"], ["folder", "a"], ["archive.pyz"]]:
        plain = python(folder, *program, cwd=place)
        ours = python(folder, "-m", "tine.loop", *program, cwd=place)
        assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr) == (5, ""), ours.stderr
        assert plain.stdout.startswith("asyncio.") and ours.stdout.startswith("_tine_loop|__main__|")
        assert ours.stdout.partition("|")[2] == plain.stdout.partition("|")[2]


def test_what_the_program_leaves_works_to_its_end(folder, tmp_path):
    """Threads, atexit and pickles of a script find its __main__."""
    (tmp_path / "late.py").write_text("""
import asyncio, atexit, multiprocessing, sys, threading, time
def squared(x):
    return x * x
def late():
    time.sleep(0.1)
    print("thread", squared(3), flush=True)
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(squared, [2]), flush=True)
    atexit.register(lambda: print("atexit", squared(4)))
    threading.Thread(target=late).start()
""")
    result = python(folder, "-m", "tine.loop", tmp_path / "late.py")
    assert (result.returncode, result.stdout, result.stderr) == (0, "[4]\nthread 9\natexit 16\n", "")


def test_wrong_use(folder, tmp_path):
    for args in [[], ["-m"], ["-x", "which.py"]]:
        result = python(folder, "-m", "tine.loop", *args)
        assert result.returncode == 2 and result.stderr.startswith("usage: python -m tine.loop script.py"), result.stderr
    assert python(folder, "-m", "tine.loop", "--help").stdout.startswith("usage: ")
    result = python(folder, "-m", "tine.loop", tmp_path / "none.py")
    assert result.returncode == 2 and "can't open file" in result.stderr and "none.py" in result.stderr
    result = python(folder, "-m", "tine.loop", "-m", "there_is_none")
    assert result.returncode == 1 and "No module named there_is_none" in result.stderr


def test_no_module_for_this_python(folder, tmp_path):
    shutil.copytree(folder / "tine", tmp_path / "tine", ignore=shutil.ignore_patterns("_tine*", "__pycache__"))
    result = python(tmp_path, "-c", "import tine")
    assert result.returncode == 1 and re.search(r"ImportError: Tine has no _tine\S+, its module for this Python, in " +
                                                re.escape(str(tmp_path / "tine")), result.stderr), result.stderr
