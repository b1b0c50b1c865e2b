# SPDX-License-Identifier: BSD-3-Clause
"""Boots as long as the file $TINE_TEST_GATE is there, and says when it begins; the words in $TINE_TEST_BOOT are how it fails."""

import os
import time

from apps.kit import dispatch, text
from apps.report import report


def waits_for_the_gate():
    while os.path.exists(os.environ["TINE_TEST_GATE"]):
        time.sleep(0.02)


report(boots=True)
waits_for_the_gate()
if os.environ.get("TINE_TEST_BOOT") == "fails":
    raise RuntimeError("no database\nat 10.0.0.7")


async def pid(scope, receive, send):
    await text(send, str(os.getpid()))


async def ends(scope, receive, send):
    os._exit(77)


app = dispatch(pid, ends)
