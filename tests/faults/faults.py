# SPDX-License-Identifier: BSD-3-Clause
"""The page of inject.h from the side of a test: which call of a server built with --enable-fault-injection fails."""

import mmap
import struct
from pathlib import Path

from lib.build import binary

ALLOC, PYTHON, EVENT, ACCEPT, READ, WRITE, PROCESS, OPEN = (1 << bit for bit in range(8))
NAMES = {ALLOC: "alloc", PYTHON: "python", EVENT: "event", ACCEPT: "accept", READ: "read", WRITE: "write", PROCESS: "process",
         OPEN: "open"}
EACH = (1 << 64) - 1
LAYOUT = struct.Struct("=IIIIQQ")


def built_in():
    return b"TINE_FAULTS" in Path(binary()).read_bytes()


class Page:
    """Give `env` to the Server; arm() before what is to fail, disarm() after it."""

    def __init__(self, folder):
        self.path = Path(folder) / "faults"
        self.path.write_bytes(bytes(LAYOUT.size))
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), LAYOUT.size)
        self.env = {"TINE_FAULTS": str(self.path)}

    def arm(self, kinds, pid, at=0, error=0):
        """The at-th call of these kinds in process pid fails; EACH: all of them; 0: they are only counted."""
        LAYOUT.pack_into(self.map, 0, 0, pid, error, 0, 0, at)
        LAYOUT.pack_into(self.map, 0, kinds, pid, error, 0, 0, at)

    def disarm(self):
        """Returns (calls counted, whether one has failed)."""
        struct.pack_into("=I", self.map, 0, 0)
        _, _, _, fired, seen, _ = LAYOUT.unpack_from(self.map, 0)
        return seen, bool(fired)

    def close(self):
        self.map.close()
        self.file.close()
