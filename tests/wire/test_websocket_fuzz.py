# SPDX-License-Identifier: BSD-3-Clause
"""A short run of tests/fuzz/ws_live.py, always the same, on every engine."""

import sys

import pytest

from lib.build import ROOT
from lib.ws import engines

sys.path.insert(0, str(ROOT / "tests" / "fuzz"))

import ws_live


@pytest.mark.parametrize("engine", engines())
def test_sessions(engine):
    assert ws_live.run(engine, "check", sessions=200) == 200
