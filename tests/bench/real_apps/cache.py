# SPDX-License-Identifier: BSD-3-Clause
"""FastAPI with redis-py's asyncio client: one value by its key, from the Redis on port BENCH_REDIS."""
import os

import redis
import redis.asyncio
from fastapi import FastAPI

PORT = int(os.environ["BENCH_REDIS"])
app = FastAPI()
client = redis.asyncio.Redis(port=PORT, decode_responses=True)
with redis.Redis(port=PORT) as c:
    c.set("greeting", "Hello, World!")


@app.get("/value")
async def value():
    return {"message": await client.get("greeting")}
