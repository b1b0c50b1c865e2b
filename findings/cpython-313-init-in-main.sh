#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One would expect that a sub-interpreter of a program that embeds CPython imports packages by its own sys.path, as it does on 3.12.
# Since CPython 3.13 (gh-117953) an extension module with single-phase initialisation is first made in the main interpreter, and what
# its init function imports is looked up there: argon2-cffi-bindings 25.1.0 in a folder that only the sub-interpreter has in sys.path
# fails for want of _cffi_backend (cffi 2.0.0), which lies in the same folder. This is so although the sub-interpreter shares the GIL
# and does not check extensions. With the folder in both paths it works, and leaves a module in the main interpreter, which imported
# nothing. A server that gives each application a virtual environment in a sub-interpreter has to tell the main one too. Seen with
# 3.13.0; not with 3.12.1.
set -euo pipefail

python=${PYTHON:-python3.13}
if ! "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
    echo "skipped, all of it: no CPython 3.13 with venv as $python (set PYTHON)"
    exit 77
fi
ask() {
    "$python" -c "import sys, sysconfig; print($1)"
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cat >"$tmp/embed.c" <<'END'
#include <Python.h>

/* Runs argv[1] in the main interpreter, argv[2] in a sub-interpreter of it, argv[3] in the main one again. */
int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    Py_Initialize();
    PyThreadState *first = PyThreadState_Get();
    PyThreadState *second = NULL;
    PyInterpreterConfig config = {
        .use_main_obmalloc = 1,
        .allow_fork = 1,
        .allow_exec = 1,
        .allow_threads = 1,
        .allow_daemon_threads = 1,
        .check_multi_interp_extensions = 0,
        .gil = PyInterpreterConfig_SHARED_GIL,
    };
    if (PyRun_SimpleString(argv[1]) != 0)
        return 2;
    if (PyStatus_Exception(Py_NewInterpreterFromConfig(&second, &config)))
        return 2;
    if (PyRun_SimpleString(argv[2]) != 0)
        return 2;
    PyThreadState_Swap(first);
    if (PyRun_SimpleString(argv[3]) != 0)
        return 2;
    fflush(NULL);
    _exit(0);
}
END
include=$(ask "sysconfig.get_path('include')")
libdir=$(ask "sysconfig.get_config_var('LIBDIR')")
if ! cc -o "$tmp/embed" "$tmp/embed.c" -I"$include" -L"$libdir" -Wl,-rpath,"$libdir" -lpython3.13; then
    echo "skipped, all of it: it needs cc, and the header files and the shared library of that CPython"
    exit 77
fi

"$python" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --target "$tmp/packages" argon2-cffi-bindings==25.1.0 cffi==2.0.0
"$python" --version
"$tmp/venv/bin/pip" list --path "$tmp/packages"
home=$(ask "sys.base_prefix + ':' + sys.base_exec_prefix")

path="import sys; sys.path.insert(0, '$tmp/packages')"
import="$path
try:
    import _argon2_cffi_bindings
    print('  sub-interpreter: imported')
except ImportError as error:
    print('  sub-interpreter:', type(error).__name__ + ':', error)"
tell="import sys; print('  main interpreter has _cffi_backend:', '_cffi_backend' in sys.modules)"

# check TITLE CODE PATTERN...: runs CODE in the main interpreter before the import in the sub-interpreter, and looks for the patterns.
check() {
    local title=$1 code=$2 seen pattern
    shift 2
    seen=$(PYTHONHOME=$home "$tmp/embed" "$code" "$import" "$tell" 2>&1)
    printf '%s\n%s\n' "$title" "$seen"
    for pattern; do
        if ! grep -qE "$pattern" <<<"$seen"; then
            echo "changed: no line matches $pattern"
            exit 1
        fi
    done
}

check "folder in the sys.path of the sub-interpreter only:" "pass" 'sub-interpreter: (ModuleNotFound|Import)Error'
check "folder in both:" "$path" 'sub-interpreter: imported' 'main interpreter has _cffi_backend: True'
echo "as described"
