# SPDX-License-Identifier: BSD-3-Clause
"""tests/run and `make check`: one file by its path from any folder, and nothing else with it."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib.build import ROOT

BUILD = Path(os.environ.get("TINE_BUILD", "."))
ONE = "def test_one(): pass\n"
TWO = "def test_two(): pass\n\ndef test_three(): pass\n"
LINT = "print('7 passed, 0 failed')\n"
UNIT = "#!/bin/sh\necho 50 passed, 0 failed\n"


@pytest.fixture
def tree(tmp_path):
    """A tree of its own with one lint script (7 cases), one unit test (50), and three cases in two files of pytest."""
    for path, text in {"tests/lint/says.py": LINT, "tests/wire/test_a.py": ONE, "tests/wire/test_b.py": TWO, "build/unit": UNIT}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "build/unit").chmod(0o755)
    for name in ("run", "pytest.ini"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests" / name)
    return tmp_path


def clean_environment():
    """Without what this run of pytest has set for itself."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}


def counted(tree, *words, cwd="build", options=(), processes=0):
    """(passed, failed) of the last line. processes: of pytest-xdist's; None: as many as tests/run takes."""
    if processes is not None and importlib.util.find_spec("xdist"):
        words = (*words, "-n", str(processes))
    command = [sys.executable, str(tree / "tests/run"), "--build", str(tree / "build"), "--unit", "unit", *options, "--", *words]
    done = subprocess.run(command, cwd=tree / cwd, env=clean_environment(), capture_output=True, text=True)
    passed, failed = map(int, re.fullmatch(r"(\d+) passed, (\d+) failed", done.stdout.splitlines()[-1]).groups())
    assert (done.returncode == 0) == (passed > 0 and failed == 0), done.stdout + done.stderr
    return passed, failed


def test_everything_runs_by_default(tree):
    assert counted(tree, processes=None) == (50 + 7 + 3, 0)


def test_options_that_choose_nothing_run_everything(tree):
    assert counted(tree, "-v", "--tb", "short") == (50 + 7 + 3, 0)


@pytest.mark.parametrize("cwd, path", [
    (".", "tests/wire/test_b.py"), ("build", "tests/wire/test_b.py"), ("tests/wire", "test_b.py"), ("build", "../tests/wire/test_b.py"),
    ("build", "wire/test_b.py"), ("tests/lint", "../wire/test_b.py"), ("tests/lint", "tests/wire/test_b.py")])
def test_one_file_runs_alone_from_any_folder(tree, cwd, path):
    assert counted(tree, path, cwd=cwd) == (2, 0)


def test_one_file_by_its_absolute_path(tree):
    assert counted(tree, str(tree / "tests/wire/test_b.py"), cwd="/") == (2, 0)


def test_the_folder_of_the_caller_comes_first(tree):
    assert counted(tree, "test_b.py", options=["--from", str(tree / "tests/wire")]) == (2, 0)


def test_one_case(tree):
    assert counted(tree, "tests/wire/test_b.py::test_three") == (1, 0)


def test_several_paths(tree):
    assert counted(tree, "tests/wire/test_a.py", "-v", "tests/wire/test_b.py::test_two") == (2, 0)


def test_a_choice_by_name_runs_pytest_alone(tree):
    assert counted(tree, "-k", "two or three") == (2, 0)
    assert counted(tree, "-ktwo") == (1, 0)


def test_a_name_that_is_also_a_folder_is_no_path(tree):
    (tree / "two").mkdir()
    assert counted(tree, "-k", "two", cwd=".") == (1, 0)


def test_groups_override(tree):
    assert counted(tree, "tests/wire/test_a.py", options=["--groups", "lint,pytest"]) == (7 + 1, 0)
    assert counted(tree, options=["--groups", "unit"]) == (50, 0)


def test_a_path_that_is_not_there_is_a_failure(tree):
    assert counted(tree, "tests/wire/test_c.py") == (0, 1)


def test_a_choice_of_nothing_is_a_failure(tree):
    assert counted(tree, "-k", "nothing_has_this_name") == (0, 1)


def test_what_fails_is_counted(tree):
    (tree / "tests/wire/test_a.py").write_text("def test_one(): assert False\n")
    (tree / "tests/lint/says.py").write_text("print('6 passed, 1 failed')\nraise SystemExit(1)\n")
    (tree / "build/unit").write_text("#!/bin/sh\nexit 1\n")
    assert counted(tree) == (6 + 2, 3)


@pytest.mark.skipif(not (BUILD / "Makefile").exists(), reason="no build folder")
@pytest.mark.parametrize("cwd, path", [(ROOT, "tests/wire/test_percent.py"), (BUILD, "tests/wire/test_percent.py"),
                                       (ROOT / "tests" / "wire", "test_percent.py")])
def test_make_check_of_one_file(cwd, path):
    """The command that make would run, with the folder that it is called in; it builds nothing here."""
    environment = dict(clean_environment(), PWD=str(cwd))
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
        environment.pop(name, None)
    make = subprocess.run(["make", "-s", "-n", "-C", str(BUILD.resolve()), "check-local", f"PYTEST_ARGS={path} --collect-only"], cwd=cwd,
                          env=environment, capture_output=True, text=True, check=True)
    command, = [line for line in make.stdout.splitlines() if "tests/run --build" in line]
    assert path in shlex.split(command)
    done = subprocess.run(command, shell=True, cwd=BUILD, env=environment, capture_output=True, text=True)
    assert "--groups" in command and "/tests/lint/" not in done.stdout
    assert set(re.findall(r"wire/test_\w+\.py", done.stdout.partition("\n")[2])) == {"wire/test_percent.py"}, done.stdout + done.stderr
