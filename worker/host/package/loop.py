# SPDX-License-Identifier: BSD-3-Clause
"""python -m tine.loop: runs a program as Python does, with Tine's event loop wherever it asks asyncio for a new one."""

import asyncio
import builtins
import importlib.machinery
import io
import os
import pkgutil
import runpy
import sys
import warnings

from tine import new_event_loop

__all__ = 'install', 'main'

USAGE = """usage: python -m tine.loop script.py [argument...]
       python -m tine.loop -m module [argument...]

Runs a program of asyncio's on Tine's event loop.
"""


def install():
    """From now on Tine's loop is what asyncio makes for those who name no other."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # policies, since Python 3.14
        class Policy(asyncio.DefaultEventLoopPolicy):
            _loop_factory = staticmethod(new_event_loop)
        asyncio.set_event_loop_policy(Policy())


def _refuse(text):
    """As Python does."""
    sys.stderr.write(text)
    sys.exit(2)


def _script_code(path):
    try:
        with io.open_code(path) as file:
            data = file.read()
    except OSError as error:
        _refuse(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
    return compile(data, path, 'exec', dont_inherit=True)


def _run_script(path):
    """In the real __main__, which threads, pickle and the functions of atexit still find when the script has ended."""
    if pkgutil.get_importer(path) is not None:  # a folder or an archive with a __main__
        sys.path.insert(0, os.path.abspath(path))
        runpy._run_module_as_main('__main__', False)
        return
    path = os.path.abspath(path)
    code = _script_code(path)
    if not sys.flags.safe_path:
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    namespace = sys.modules['__main__'].__dict__
    namespace.clear()
    namespace.update(__name__='__main__', __file__=path, __cached__=None, __doc__=None, __package__=None, __spec__=None,
                     __loader__=importlib.machinery.SourceFileLoader('__main__', path), __builtins__=builtins)
    exec(code, namespace)


def main():
    """The command: sys.argv without its first word is what to run, and becomes the program's sys.argv."""
    arguments = sys.argv[1:]
    if arguments in (['-h'], ['--help']):
        print(USAGE, end='')
        return
    if arguments[:1] == ['-m'] and len(arguments) > 1:
        install()
        sys.argv[:] = arguments[1:]
        runpy._run_module_as_main(sys.argv[0])
        return
    if not arguments or arguments[0].startswith('-'):
        _refuse(USAGE)
    install()
    sys.argv[:] = arguments
    if not sys.flags.safe_path:
        del sys.path[0]  # of -m: the working folder
    _run_script(sys.argv[0])


if __name__ == '__main__':
    from tine import loop  # this file once more: what it runs becomes __main__
    loop.main()
