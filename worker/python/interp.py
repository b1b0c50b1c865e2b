# SPDX-License-Identifier: BSD-3-Clause
"""Run once in a new interpreter, before the application: what a server's interpreter needs.

`sub`: in a sub-interpreter. `path`: folders to put before sys.path.
"""

import os
import sys

try:
    FOLDER = os.getcwd()  # where the paths of the configuration begin, whatever folder the application changes to
except OSError:
    FOLDER = ""


def _prepare_path(path):
    for folder in map(os.path.abspath, reversed(path)):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)


def _prepare_streams():
    """A line printed appears at once and in one write(), not torn between workers (unless PYTHONUNBUFFERED is set)."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, 'reconfigure'):
            stream.reconfigure(line_buffering=True)


def _refuse_fork():
    """A child of a sub-interpreter would be aborted by CPython with no word on why."""
    import os

    def refuse(name):
        def refused():
            error = RuntimeError(
                f'os.{name}() does not work in a sub-interpreter of tine: '
                f'set "interpreter = main" in section [app], or start processes by subprocess or multiprocessing\'s spawn')
            sys.modules['_tine_refusal'].record(f'os.{name}()', error, 'CPython aborts the child')
            raise error
        refused.__name__ = refused.__qualname__ = name
        return refused

    for name in ('fork', 'forkpty'):
        if hasattr(os, name):
            setattr(os, name, refuse(name))


class _SpawnByDefault:
    """Makes "spawn" multiprocessing's default when (and if) it is imported. Unlike set_start_method() this leaves the
    application free to choose."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != 'multiprocessing.context':
            return None
        import importlib.machinery
        sys.meta_path.remove(_SpawnByDefault)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                contexts = getattr(module, '_concrete_contexts', {})
                default = getattr(module, '_default_context', None)
                if 'spawn' in contexts and hasattr(default, '_default_context'):
                    default._default_context = contexts['spawn']

            spec.loader.exec_module = exec_module
        return spec


def _answer_loggers():
    """Loggers that applications know from other servers, and take handlers and levels of: their records go to the error log.
    Nothing else of logging is touched, and the application's own configuration goes before."""
    import logging
    import _tine

    class ErrorLog(logging.Handler):
        def emit(self, record):
            try:
                _tine.log(record.levelno, self.format(record).replace('\0', '\\x00'))
            except Exception:
                self.handleError(record)

    handler = ErrorLog()
    for name in ('gunicorn.error', 'gunicorn.access', 'uvicorn'):  # the latter for uvicorn.error and uvicorn.access too
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(handler)
            logger.setLevel(_tine.log_level())
            logger.propagate = False
    logging.getLogger('tine').propagate = False  # tine.error: see pyerr.h


def patch(path):
    """gevent's changes to the standard library, before any of it is used (app.monkey_patch). Where there is no gevent, the loop
    says so."""
    _prepare_path(path)
    try:
        from gevent import monkey
    except ImportError:
        return
    monkey.patch_all()


def prepare(sub, path):
    _prepare_path(path)
    _prepare_streams()
    _answer_loggers()
    if sub:
        _refuse_fork()
        sys.meta_path.insert(0, _SpawnByDefault)


def environment():
    """What a verdict on this application depends on: it is void when one of these has changed."""
    folders = [path for path in sys.path if os.path.basename(path) in ('site-packages', 'dist-packages')]
    paths = [os.path.realpath(sys.executable), os.path.join(sys.prefix, 'pyvenv.cfg'), *folders]
    return '\n'.join(path for path in paths if os.path.exists(path) and '\n' not in path)


def _threads(threading):
    """Those that the end of a Python waits for."""
    here = (threading.current_thread(), threading.main_thread())
    return [t for t in threading.enumerate() if t not in here and not t.daemon]


def _end_main_thread(threading):
    """As threading._shutdown() does it before it joins (from 3.13 on not in a sub-interpreter): some threads wait for this
    end, those of debuggers too."""
    main = threading.main_thread()
    if hasattr(main, '_handle'):
        main._handle._set_done()
    elif main is threading.current_thread() and getattr(main, '_tstate_lock', None) is not None:
        main._tstate_lock.release()
        main._stop()


def _join_threads(threading, seconds):
    """threading._shutdown(), which waits for ever for a thread that never ends. Returns the threads that are left."""
    import time
    if not _threads(threading):
        if '_tine_refusal' in sys.modules and hasattr(threading.main_thread(), '_handle'):
            _end_main_thread(threading)
        threading._shutdown()
        return []
    end = time.monotonic() + seconds
    hooks = getattr(threading, '_threading_atexits', [])  # concurrent.futures ends its threads there

    def run_hooks(calls):
        for call in reversed(calls):
            call()

    helper = threading.Thread(target=run_hooks, args=(hooks[:],), name='tine-finish', daemon=True)
    hooks.clear()
    helper.start()
    _end_main_thread(threading)
    for thread in [helper, *_threads(threading)]:
        thread.join(max(0, end - time.monotonic()))
    left = _threads(threading)
    # Where the main thread has ended there is nothing left to do; in a sub-interpreter of 3.12, _shutdown() would end it again, and fail.
    if not left and not helper.is_alive() and not getattr(threading.main_thread(), '_is_stopped', False):
        threading._shutdown()
    return left


def finish(seconds):
    """What Py_Finalize() would do for the application, without the interpreter's end. Threads have so many seconds; the
    names of those that are left are returned, and do not keep atexit functions from being called."""
    import atexit
    threading = sys.modules.get('threading')
    left = _join_threads(threading, seconds) if threading is not None else []
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    return ', '.join(t.name for t in left)
