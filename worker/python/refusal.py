# SPDX-License-Identifier: BSD-3-Clause
"""Records what refuses to run in a sub-interpreter, where it happens: libraries often swallow the exception, and frameworks
turn it into an answer. Adds to the exception what to do about it."""

import _thread
import re
import sys
from importlib.machinery import ExtensionFileLoader

NOTE = 'Tine: the application lives in a sub-interpreter, which does not allow this: set "interpreter = main" in section [app]'

# Calls that CPython refuses outside of the main interpreter: by the module in C that has them.
CALLS = {'_posixsubprocess': {'fork_exec': "subprocess with preexec_fn"}, 'syslog': {'openlog': 'syslog.openlog()', 'syslog': 'syslog.syslog()'},
         '_signal': {'signal': 'signal.signal()', 'set_wakeup_fd': 'signal.set_wakeup_fd()'}}

# What dlopen(3) says of a file that the main interpreter could not load either.
BROKEN_FILE = re.compile(r"cannot open shared object|undefined symbol|invalid ELF|wrong ELF|file too short|not found \(required by|"
                         r"does not define module export function")

# Extension modules that do not refuse, and do not work well either.
UNFIT = [(re.compile(r'(polars|onnxruntime)\.|_polars_runtime'),
          'its native threads call Python, and CPython makes those run in the main interpreter')]
if sys.version_info < (3, 12):
    UNFIT.append((re.compile(r'numpy\._?core\._multiarray_umath$'), 'numpy warns that it does not properly support sub-interpreters'))

refused = {}  # name: why
loaded = []  # extension modules
ready = False
tell = None
loop_thread = None


def _is_refusal(error):
    if isinstance(error, (ModuleNotFoundError, SystemExit, KeyboardInterrupt, MemoryError)):
        return False
    return not (isinstance(error, ImportError) and BROKEN_FILE.search(str(error)))


def record(name, error, why=None):
    if NOTE not in getattr(error, '__notes__', ()):
        error.add_note(NOTE)
    why = why or ' '.join(f'{type(error).__name__}: {error}'.split()).encode('utf-8', 'backslashreplace').decode()
    refused.setdefault(name, why)
    if ready:
        tell(f'{name}: {why}')


def _hide(function):
    """In tracebacks it is one of importlib's functions, which are left out of them."""
    function.__code__ = function.__code__.replace(co_filename='<frozen importlib._bootstrap_external>')
    return function


def _watch_loader(name):
    original = getattr(ExtensionFileLoader, name)

    def step(self, argument):
        try:
            result = original(self, argument)
        except BaseException as error:
            if _is_refusal(error):
                record(self.name, error)
            raise
        refused.pop(self.name, None)
        return result

    step.__name__, step.__qualname__, step.__doc__ = name, original.__qualname__, original.__doc__
    setattr(ExtensionFileLoader, name, _hide(step))


def _watch_loaded():
    execute = ExtensionFileLoader.exec_module

    def exec_module(self, module):
        execute(self, module)
        loaded.append(self.name)
        if ready:
            _look_at([self.name])
        if self.name in CALLS:
            _watch_calls(self.name)

    ExtensionFileLoader.exec_module = _hide(exec_module)


def _watch_call(module, name, what):
    original = getattr(module, name, None)
    if original is None:
        return

    def call(*args, **kwargs):
        try:
            return original(*args, **kwargs)
        except (RuntimeError, ValueError) as error:
            if 'interpreter' in str(error):
                _refused_call(what, error)
            raise

    call.__name__, call.__qualname__, call.__doc__ = name, name, original.__doc__
    setattr(module, name, call)
    user = sys.modules.get('subprocess')
    if name == 'fork_exec' and hasattr(user, '_fork_exec'):
        user._fork_exec = call


def _refused_call(what, error):
    if not what.startswith('signal.'):
        record(what, error)
    elif _thread.get_ident() == loop_thread:  # in another one it would not be allowed in the main interpreter either
        error.add_note(NOTE)  # many catch it, and can do without


def _watch_calls(name):
    for function, what in CALLS[name].items():
        _watch_call(sys.modules[name], function, what)


def _look_at(names):
    for name in names:
        for pattern, why in UNFIT:
            if pattern.match(name) and name not in refused:
                refused[name] = why
                if ready:
                    tell(f'{name}: {why}')


def _relatives(error):
    return [error.__cause__, error.__context__, *getattr(error, 'exceptions', ())]


def seen(error):
    """An exception has come out of the application: of what is not recorded where it happens, it may say so."""
    known, waiting = set(), [error]
    while waiting and len(known) < 100:
        error = waiting.pop()
        if not isinstance(error, BaseException) or id(error) in known:
            continue
        known.add(id(error))
        if NOTE in getattr(error, '__notes__', ()):
            tell(f'{type(error).__name__}: {error}')
            return
        waiting += _relatives(error)


def so_far():
    for name, why in refused.items():
        return f'{name}: {why}'
    return None


def at_ready():
    global ready
    _look_at(loaded)
    ready = True
    return so_far()


def watch(tell_worker):
    global tell, loop_thread
    tell, loop_thread = tell_worker, _thread.get_ident()
    for name in 'create_module', 'exec_module':
        _watch_loader(name)
    _watch_loaded()
    for name in CALLS:
        if name in sys.builtin_module_names:
            __import__(name)
        if name in sys.modules:
            _watch_calls(name)
