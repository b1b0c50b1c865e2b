# SPDX-License-Identifier: BSD-3-Clause
"""Holds files open until there are no descriptors left; every answer but that needs none."""

from apps.kit import dispatch, query, text

held = []


async def hold(scope, receive, send):
    """?n=N files more, or as many as there can be; how many, and what stopped it."""
    why = "enough"
    try:
        for _ in range(int(query(scope)["n"])):
            held.append(open("/dev/null"))
    except OSError as e:
        why = e.strerror
    await text(send, f"{len(held)} {why}")


async def drop(scope, receive, send):
    for file in held:
        file.close()
    held.clear()
    await text(send, "dropped")


async def fails(scope, receive, send):
    """An application that does not expect it."""
    with open("/dev/null"):
        await text(send, "opened")


async def plain(scope, receive, send):
    await text(send, "plain")


app = dispatch(hold, drop, fails, plain)
