# SPDX-License-Identifier: BSD-3-Clause
"""Tine's event loop for any program of asyncio's: see tine(8), EVENT LOOP. The server does not need this package.

    asyncio.run(main(), loop_factory=tine.new_event_loop)       from CPython 3.12 on
    asyncio.Runner(loop_factory=tine.new_event_loop)
    python -m tine.loop script.py
"""

import importlib.machinery
import importlib.util
import os
import sys

__all__ = 'new_event_loop', '__version__'

_ELSEWHERE = None  # make install: where the modules for several Pythons are; a wheel has its own beside this file


def _load():
    """Tine's module for this Python; a worker has it already."""
    if '_tine' in sys.modules:
        return sys.modules['_tine']
    file = '_tine' + importlib.machinery.EXTENSION_SUFFIXES[0]
    folders = [folder for folder in (os.path.dirname(__file__), _ELSEWHERE) if folder]
    path = next(filter(os.path.exists, [os.path.join(folder, file) for folder in folders]), None)
    if path is None:
        raise ImportError(f'Tine has no {file}, its module for this Python, in {" or ".join(folders)}', name=__name__)
    spec = importlib.util.spec_from_file_location('_tine', path)
    module = sys.modules['_tine'] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules['_tine']
        raise
    return module


_tine = _load()
__version__ = _tine.version


def new_event_loop():
    """A new event loop, which asyncio can run like one of its own."""
    return _tine.new_loop()
