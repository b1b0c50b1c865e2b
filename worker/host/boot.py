# SPDX-License-Identifier: BSD-3-Clause
# The first thing that the application's Python runs (become.c): finds Tine's module for this Python and hands over.
# Arguments: the command, the descriptor of the channel to the master (-1: there is none), the byte that begins a message of
# failure there, an argument of the command, a module that the service has loaded before (its descriptor, or -1, its path,
# and "own" if it is to be used whatever is installed now), then folders to look for the module in. Must run, and say what is
# wrong, in any Python that there is, and import only what each has in it: the application's environment may be broken, and
# what an interpreter that the application does not live in has imported is kept for nothing (os alone is 0.3 MB).


def boot(command, channel, failed, argument, held, held_path, own, *folders):
    import posix
    import sys
    channel, held = int(channel), int(held)

    def give_up(text):
        if channel < 0:
            sys.stderr.write('tine: ' + text + '\n')
            sys.stderr.flush()
            posix._exit(1)
        try:
            posix.write(channel, bytearray([int(failed)]) + text.encode('utf-8', 'backslashreplace'))
        except OSError:
            sys.stderr.write(text + '\n')
            sys.stderr.flush()
        posix._exit(3)

    executable = sys.executable or 'this Python'
    name = getattr(getattr(sys, 'implementation', None), 'name', 'an old Python')
    if name != 'cpython':
        give_up('%s is %s; Tine runs applications in CPython, 3.11 or later: name one by app.python or app.venv'
                % (executable, name))
    version = '%d.%d.%d' % sys.version_info[:3]
    if sys.version_info < (3, 11):
        give_up('%s is CPython %s; Tine needs 3.11 or later: name another by app.python or app.venv' % (executable, version))
    if 't' in sys.abiflags:
        give_up('%s is a free-threaded build of CPython %s, which Tine does not support yet: use one with the GIL'
                % (executable, version))
    if not sys.flags.safe_path:
        del sys.path[0]  # '', from -c: where the process happens to be is not where modules of Python's own come from
    import _imp
    from _frozen_importlib import ModuleSpec
    from _frozen_importlib_external import ExtensionFileLoader
    file = '_tine' + _imp.extension_suffixes()[0]
    root = executable.rpartition('/')[0].rpartition('/')[0]
    # The last one is the program's, where pip puts both for one user (~/.local) or by Debian's Python (/usr/local, dist-packages).
    prefixes = [root, sys.prefix, sys.base_prefix] + [folder.rpartition('/')[0] for folder in folders[:1] if folder]
    packages = ['%s/%s/python%d.%d/%s/tine' % ((prefix, sys.platlibdir) + sys.version_info[:2] + (kind,))
                for prefix in prefixes for kind in ('site-packages', 'dist-packages')] + list(folders)
    # The environment's own first: it is the one that `pip install` brings up to date.
    for folder in [held_path.rpartition('/')[0]] * bool(own) + packages:
        path = folder + '/' + file
        if folder and (path == held_path or posix.access(path, posix.F_OK)):
            break
    else:
        found, closed = set(), ''
        for folder in filter(None, packages):
            try:
                found.update(entry for entry in posix.listdir(folder) if entry.startswith('_tine.') and entry.endswith('.so'))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as e:
                closed += '; %s cannot be read: %s' % (folder, e.strerror)
        # By its file, never by a name that others could have on a package index.
        give_up('Tine has no %s, its module for %s (CPython %s); it has %s%s. Install the wheel of Tine for it (%s -m pip '
                'install ./tine_server-*-cp%d%d-*.whl), or build Tine with --with-python=%s'
                % ((file, executable, version, ', '.join(sorted(found)) or 'none', closed, executable) + sys.version_info[:2]
                   + (executable,)))
    try:
        fd, place = held, path
        if path != held_path:
            if held >= 0:
                posix.close(held)
            fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        # Else by its path, unless that has become another file's: debuggers go by the name.
        elif not posix.access(path, posix.F_OK) or posix.stat(path)[1:3] != posix.fstat(fd)[1:3]:
            place = '/proc/self/fd/%d' % fd
        loader = ExtensionFileLoader('_tine_host', place)
        spec = ModuleSpec('_tine_host', loader, origin=place)
        host = loader.create_module(spec)
        loader.exec_module(host)
    except BaseException as e:
        give_up('%s cannot be loaded into %s (CPython %s): %s; install Tine for this Python anew'
                % (path, executable, version, e or type(e).__name__))
    sys.argv[:] = sys.orig_argv[:] = ['tine']
    main = sys.modules['__main__'].__dict__
    del main['boot'], main['sys']
    try:
        getattr(host, command)(argument, path, fd)
    except BaseException as e:
        give_up('%s: %s' % (path, e or type(e).__name__))
