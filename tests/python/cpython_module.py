# SPDX-License-Identifier: BSD-3-Clause
"""Runs one module of CPython's own test.test_asyncio with Tine's event loop in place of asyncio's. In pyhost:

    pyhost [--main] cpython_module.py [MODULE [TEST...]]

Without MODULE it prints which CPython this is and what modules there are. Prints one line per test that did not pass ("fail: NAME", "error: NAME", "skip: NAME: reason") and the details on
standard error, then "ran N"; "absent: ..." if this Python has no such tests. They are in Debian's package
libpython3-testsuite; TINE_CPYTHON_TESTS may name a folder that holds test_asyncio instead.
"""

import asyncio
import asyncio.unix_events
import faulthandler
import importlib
import os
import pkgutil
import platform
import signal
import sys
import unittest

import _tine

# A worker leaves SIGINT to the server; these tests expect it as in a program of its own.
HANG = {}  # module: beginnings of the names of tests that hang instead of failing
try:
    signal.signal(signal.SIGINT, signal.default_int_handler)
except ValueError:  # in a sub-interpreter, where interrupt_main() interrupts nothing
    HANG['test_runners'] = ['RunTests.test_asyncio_run_without_uncancel', 'RunnerTests.test_interrupt_']
TIME_LIMIT = 900  # seconds for one module; a hang is reported with its stack


class Result(unittest.TextTestResult):
    def note(self, kind, test, reason=''):
        name = test.id() if hasattr(test, 'id') else str(test)
        print(f'{kind}: {name.removeprefix("test.test_asyncio.")}{reason and ": " + reason}', flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note('fail', test)

    def addError(self, test, err):
        super().addError(test, err)
        self.note('error', test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note('fail', test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note('skip', test, reason)


def new_loop(selector=None):
    """The tests that ask for a certain selector get Tine's loop too."""
    if selector is not None:
        selector.close()
    return _tine.new_loop()


class LoopKind(type):
    def __call__(cls, selector=None):
        return new_loop(selector)

    def __instancecheck__(cls, loop):
        return isinstance(loop, _tine.LoopBase)


class Loop(metaclass=LoopKind):
    """In place of asyncio's class."""


def use_tine():
    policy = asyncio.unix_events.DefaultEventLoopPolicy if hasattr(asyncio.unix_events, 'DefaultEventLoopPolicy') \
        else asyncio.unix_events._DefaultEventLoopPolicy
    policy._loop_factory = staticmethod(new_loop)
    asyncio.SelectorEventLoop = Loop
    if hasattr(asyncio, 'EventLoop'):
        asyncio.EventLoop = Loop


def import_tests(name):
    import test
    extra = os.environ.get('TINE_CPYTHON_TESTS')
    if extra:
        test.__path__.insert(0, extra)
    return importlib.import_module(f'test.test_asyncio.{name}')


def skip_hanging(name, module):
    for prefix in HANG.get(name, []):
        owner, prefix = prefix.split('.')
        for attribute, function in list(vars(getattr(module, owner)).items()):
            if attribute.startswith(prefix):
                setattr(getattr(module, owner), attribute, unittest.skip('would hang')(function))


def list_modules():
    import test.test_asyncio
    print('version', platform.python_version())
    for found in sorted(pkgutil.iter_modules(test.test_asyncio.__path__)):
        if found.name.startswith('test_'):
            print('module', found.name, flush=True)


def main():
    if not sys.argv[1:]:
        list_modules()
        return
    name, *only = sys.argv[1:]
    asyncio.set_event_loop(None)
    try:
        module = import_tests(name)
    except (ModuleNotFoundError, unittest.SkipTest) as error:
        print('absent:', error)
        return
    skip_hanging(name, module)
    use_tine()
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module) if not only else \
        unittest.defaultTestLoader.loadTestsFromNames(only, module)
    runner = unittest.TextTestRunner(stream=sys.stderr, resultclass=Result, verbosity=1)
    result = runner.run(suite)
    print('ran', result.testsRun, flush=True)
    faulthandler.cancel_dump_traceback_later()
    sys.stderr.flush()
    os._exit(0)  # threads that a test left behind must not keep the process


main()
