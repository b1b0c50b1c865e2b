# SPDX-License-Identifier: BSD-3-Clause
"""A plugin of pytest's for judge.py: wherever a suite asks for a loop of asyncio's or of uvloop's it is given one of what
TINE_SUITES_LOOP names, and what is excluded of the suite that TINE_SUITES_SUITE names is not run."""

import asyncio
import os
import warnings

import judge


def factory():
    name = os.environ["TINE_SUITES_LOOP"]
    return asyncio.SelectorEventLoop if name == "asyncio" else __import__(name).new_event_loop


def install(new_event_loop):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # policies, since Python 3.14

        class Policy(asyncio.DefaultEventLoopPolicy):
            _loop_factory = staticmethod(new_event_loop)
        asyncio.set_event_loop_policy(Policy())


def patch_uvloop(new_event_loop):
    """uvloop's suite runs each test on uvloop and on asyncio, and knows where they differ: Tine's is to do as asyncio does."""
    from uvloop import _testbase
    for case in _testbase.UVTestCase, _testbase.AIOTestCase:
        case.new_loop = lambda self: new_event_loop()
        case.new_policy = lambda self: asyncio.DefaultEventLoopPolicy()
        case.is_asyncio_loop = lambda self: True
        case.implementation = "asyncio"


def patch_programs(items):
    """The programs that uvloop's tests of signals start make their loops by this text."""
    name = os.environ["TINE_SUITES_LOOP"]
    text = "asyncio.SelectorEventLoop()" if name == "asyncio" else f"__import__('{name}').new_event_loop()"
    for case in {item.cls for item in items if hasattr(getattr(item, "cls", None), "NEW_LOOP")}:
        case.NEW_LOOP = text


def pytest_configure(config):
    new_event_loop = factory()
    install(new_event_loop)
    if os.environ["TINE_SUITES_SUITE"] == "uvloop":
        patch_uvloop(new_event_loop)


def pytest_collection_modifyitems(config, items):
    patterns = [pattern for pattern, _ in judge.excluded(os.environ["TINE_SUITES_SUITE"])]
    out = [item for item in items if any(judge.is_like(item.nodeid, pattern) for pattern in patterns)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]
    patch_programs(items)
