# SPDX-License-Identifier: BSD-3-Clause
"""Tests that run in several places (interpreters, interfaces, with and without a mold) do so in the most telling ones on every check,
and in the others where TINE_TEST_EVERYWHERE is set, as in the gate asan: check has six minutes."""

import os

import pytest

REST = pytest.mark.skipif("TINE_TEST_EVERYWHERE" not in os.environ, reason="TINE_TEST_EVERYWHERE is not set")


def rest(*values):
    """For parametrize: these only where TINE_TEST_EVERYWHERE is set."""
    return [pytest.param(*(value if isinstance(value, list) else [value]), marks=REST) for value in values]


# Of threads, or of what runs on the loop's thread without one: not where requests are greenlets.
NO_GREENLETS = pytest.mark.skipif(os.environ.get("TINE_TEST_LOOP") == "gevent", reason="requests are greenlets")
