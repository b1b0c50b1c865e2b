# SPDX-License-Identifier: BSD-3-Clause
"""A short comparison with python-h11, always the same; h11_differ.py does longer ones."""

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("h11")
sys.path.insert(0, str(Path(__file__).parent))

import h11_differ

READER = Path(os.environ.get("TINE_BUILD", ".")) / "tests/fuzz/h1_read"


def test_same_requests():
    done, accepted, stricter = h11_differ.run(READER, seed="tine", count=4000)
    # Both sides must accept and refuse for this to say anything.
    assert done == 4000 and accepted > 1000 and {"head-malformed", "body"} <= stricter.keys()
