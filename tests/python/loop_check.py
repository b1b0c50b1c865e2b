# SPDX-License-Identifier: BSD-3-Clause
"""For the loop_*.py scripts: cases are registered with @case and run one after the other on the worker's loop."""

import asyncio
import sys
import traceback

CASES = []
DEADLINE = 60  # for one case, whatever the machine does meanwhile


def case(function):
    CASES.append(function)
    return function


class Skip(Exception):
    """Cannot be tried here; its text says why."""


def run_all(loop):
    """Coroutine functions are run as tasks of the loop, others are called with nothing running."""
    passed = failed = 0
    for function in CASES:
        try:
            if asyncio.iscoroutinefunction(function):
                loop.run_until_complete(asyncio.wait_for(function(), DEADLINE))
            else:
                function()
            passed += 1
        except Skip as reason:
            print(f'skip {function.__name__}: {reason}')
        except BaseException:
            failed += 1
            print(f'FAIL {function.__name__}')
            traceback.print_exc(file=sys.stdout)
        finally:
            loop.set_debug(False)
            loop.set_exception_handler(None)
            loop.set_task_factory(None)
    print(f'{passed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


def raises(kind, function, *args, text='', **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        assert text in str(error), f'{error!r} does not say {text!r}'
        return error
    raise AssertionError(f'{kind.__name__} was not raised')
