# SPDX-License-Identifier: BSD-3-Clause
"""The event loop, the task runner and the ready awaitables: each script of cases, in a sub-interpreter and in the main one."""

import os
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HOST = Path(os.environ.get("TINE_BUILD", ".")) / "tests/unit/pyhost"
SCRIPTS = ["loop_calls", "loop_api", "loop_streams", "loop_datagrams", "loop_socks", "task_cases", "task_cases_anyio", "task_rules", "awaitable_rules"]
DEADLINE = 240


def packages():
    """What an application finds in the virtual environment of TINE_TEST_PYTHON: anyio."""
    venv = Path(os.environ.get("TINE_TEST_PYTHON", "")).parent.parent
    return {"VIRTUAL_ENV": str(venv)} if (venv / "pyvenv.cfg").exists() else {}


@pytest.mark.parametrize("interpreter", ["sub", "main"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_script(script, interpreter):
    if not HOST.exists():
        pytest.skip(f"no {HOST}: make check builds it")
    command = [str(HOST), *(["--main"] if interpreter == "main" else []), str(HERE / f"{script}.py")]
    environment = dict(os.environ, PYHOST_PATH=str(HERE), PYTHONDONTWRITEBYTECODE="1", **packages())
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE)
    if absent := re.search(r"^(.* is not installed): 0 passed, 0 failed$", result.stdout, re.M):
        pytest.skip(absent[1])
    assert re.search(r"^\d+ passed, 0 failed$", result.stdout, re.M), result.stdout + result.stderr
    assert result.returncode == 0 and result.stderr == "", result.stderr
