#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests with pyflakes that the Python of the tree uses what it imports and knows what it names (Debian: python3-pyflakes).

Where pyflakes is not installed it tests nothing, and says so.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Debian's package belongs to Debian's Python, which need not be the one that runs this.
PYTHONS = (sys.executable, "/usr/bin/python3")


def scripts():
    """Every Python file of tests/ and .ci/, those without a suffix too."""
    for path in sorted([*(ROOT / "tests").rglob("*"), *(ROOT / ".ci").rglob("*")]):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        if path.suffix == ".py":
            yield path
        elif not path.suffix:
            with open(path, "rb") as f:
                first = f.readline()
            if first.startswith(b"#!") and b"python" in first:
                yield path


def main():
    python = next((p for p in PYTHONS if subprocess.run([p, "-c", "import pyflakes"], stderr=subprocess.DEVNULL, cwd=ROOT).returncode == 0),
                  None)
    if python is None:
        print("pyflakes is not installed: nothing was tested\n0 passed, 0 failed")
        return 0
    files = [str(path.relative_to(ROOT)) for path in scripts()]
    said = subprocess.run([python, "-m", "pyflakes", *files], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    print(said, end="")
    bad = {line.partition(":")[0] for line in said.splitlines() if ":" in line}
    failed = len(bad & {*files}) or bool(said.strip())
    print(f"{len(files) - failed} passed, {int(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
