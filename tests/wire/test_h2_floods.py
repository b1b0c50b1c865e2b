# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2: floods, each of them let loose on a worker that serves somebody else meanwhile. Each ends with GOAWAY and costs little
memory (RFC 9113 10.5)."""

import pytest

from lib.h2 import H2
from lib.h2attacks import ATTACKS, Attacker
from lib.procfs import memory_kb, sanitized
from lib.server import Server
from lib.waiting import DEADLINE

MB = 1024
# A flood that is not ended goes on up to here.
MOST = 64 << 20


@pytest.fixture(scope="module")
def server():
    config = {"http": {"write_timeout": "600s", "keepalive": "600s"}, "log": {"loglevel": "info"}}
    with Server("floods", config, flags="h2c") as s:
        yield s


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_flood(server, attack):
    worker, = server.workers()
    with H2(server.connect()) as other:
        assert other.get("/small").status == 200
        for _ in range(3):
            assert len(other.get("/large").body) == 1 << 20
        before = memory_kb(worker)
        attacker = Attacker(server.address, attack)
        try:
            outcome = attacker.run(DEADLINE, MOST, lambda: other.get("/small"))
        finally:
            attacker.close()
        assert outcome.how in attack.ends, (outcome.how, outcome.sent)
        assert other.get("/small").body == b"small"
        if not sanitized(worker):
            assert memory_kb(worker) - before < 24 * MB
