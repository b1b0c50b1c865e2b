# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for an event, with a deadline; never for a time. Standard library only."""

import os
import threading
import time

# Seconds that any single wait may last before the test fails; nothing passes or fails by how long it took within them.
DEADLINE = float(os.environ.get("TINE_TEST_DEADLINE", "20"))


def wait_for(fn, timeout=None, what="condition"):
    """Calls fn until it returns something true, and returns that; AssertionError when the deadline is over."""
    pause = threading.Event()
    end = time.monotonic() + (timeout or DEADLINE)
    while True:
        result = fn()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"deadline is over, still waiting for {what}")
        pause.wait(0.01)
