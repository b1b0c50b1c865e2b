# SPDX-License-Identifier: BSD-3-Clause
"""What the packages are called. On PyPI the name tine belongs to another project: ours is tine-server, and nothing that we say may
make pip install the other one."""

import re
import tomllib

import pytest

from lib.build import ROOT

SAID = ("README", "NEWS", "CONTRIBUTING", "pyproject.toml", "bootstrap", "configure.ac", "common", "conf", "master", "worker", "man", "debian", ".ci",
        "tests")
# As a word of a command of pip's or of one like it: the name alone, or with a version or an extra.
FOREIGN = re.compile(r"""\b(?:pip3?|pipx|uv|poetry|pdm|pipenv)\s+(?:install|add|download|wheel|run)(?:\ +[-\w.,\[\]=<>~]+)*?\s+(?:[*#;]\s+)?["']?"""
                     r"""tine(?=["'\s,=<>~!\[)`]|$)""", re.M)


def told(text):
    """What `text` tells somebody to type. A program may break it into several strings."""
    return [found.group() for version in (text, re.sub(r"""(["'])\n\s*\1""", "", text)) for found in FOREIGN.finditer(version)]


def files():
    for name in SAID:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.name != "test_packages.py" and not {"__pycache__", ".deps"} & {*file.parts}:
                yield file


@pytest.mark.parametrize("text", [
    "pip install tine", "python -m pip install -U tine", "(/v/bin/python -m pip '\n    'install tine)", "`pip install tine`", "uv add tine",
    "pip install fastapi tine", 'pip install "tine>=0.2"', "pip install tine[all]", "uv pip install tine==0.2.0", "# pip install\n# tine"])
def test_the_other_project_is_recognised(text):
    assert told(text)


@pytest.mark.parametrize("text", [
    "pip install tine-server", "pip install ./tine_server-*.whl", "pip install . && tine main:app", "pip installs it; tine runs",
    "pip install ./tine_server-0.2.0-cp311-cp311-linux_x86_64.whl", "podman build -t tine .", "RUN pip install -r a.txt\nUSER tine"])
def test_ours_is_not_mistaken_for_it(text):
    assert not told(text)


def test_nobody_is_told_to_install_the_other_project():
    found = {str(file.relative_to(ROOT)): told(file.read_bytes().decode(errors="replace")) for file in files()}
    assert len(found) > 500 and not {name: words for name, words in found.items() if words}


def test_the_distribution_is_called_tine_server():
    with open(ROOT / "pyproject.toml", "rb") as f:
        project = tomllib.load(f)
    assert project["project"]["name"] == "tine-server"
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["tine"]
