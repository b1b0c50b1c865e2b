# SPDX-License-Identifier: BSD-3-Clause
"""What server and client of the soak agree on: bytes that follow from a request's name, and their digest."""

import hashlib


def content(name, n):
    """n bytes that no other name has."""
    block = hashlib.sha256(name.encode()).hexdigest().encode()
    return (block * (n // len(block) + 1))[:n]


def digest(data):
    return hashlib.sha256(data).hexdigest()
