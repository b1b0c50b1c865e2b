# SPDX-License-Identifier: BSD-3-Clause
"""An application that says things to the error log, and moves its own time zone."""

import asyncio
import os
import time

from apps.kit import dispatch, query, text

os.environ["TZ"] = "Asia/Tokyo"
time.tzset()


async def fails(scope, receive, send):
    raise RuntimeError("no such\nline")


async def slow(scope, receive, send):
    await asyncio.sleep(float(query(scope).get("s", 0.05)))
    await text(send, "slow")


async def healthz(scope, receive, send):
    await text(send, "well")


async def hour(scope, receive, send):
    await text(send, time.strftime("%z"))


app = dispatch(fails, slow, healthz, hour)
