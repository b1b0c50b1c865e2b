#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One would expect that source, once compiled, costs only its code objects. But when CPython runs source directly (python3 FILE,
# python3 -c, exec() of a string, and so PyRun_SimpleString() of the C API), the syntax tree is freed only when that source has ended.
# A program of 10,000 lines (270 kB) that is still running holds some 30 MB more than the same program as a module (python3 -m, import)
# or given to compile() first. Seen with CPython 3.11.2, 3.12.1 and 3.13.0. A server that embeds Python, or that runs an application's
# main file, stays inside such a call as long as it lives, and what it forks inherits the tree: compile first, then run.
set -euo pipefail

python=${PYTHON:-python3}
if ! "$python" -c 'import sys, tracemalloc; sys.exit(sys.implementation.name != "cpython")' 2>/dev/null; then
    echo "skipped, all of it: no CPython as $python (set PYTHON)"
    exit 77
fi
"$python" --version

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

"$python" - >program.py <<'END'
print("def work(x):")
for i in range(10000):
    print(f"    x = (x + {i}) * 3 - x")
print("import tracemalloc")
print("print(tracemalloc.get_traced_memory()[0] // 1024)")
END
echo "program.py has $(wc -c <program.py) bytes"

# held ARGUMENT...: runs Python with them, and sets kb to what it says it holds: the program while it runs, but the last case after it.
held() {
    kb=$("$python" -B -X tracemalloc "$@")
    echo "python3 ${*@Q}: $kb KiB held"
}

held -m program
base=$kb
held -c 'import program'
import=$kb
held -c 'exec(compile(open("program.py").read(), "program.py", "exec"))'
compiled=$kb
held program.py
file=$kb
held -c 'exec(open("program.py").read())'
string=$kb
held -c 'import ctypes; ctypes.pythonapi.PyRun_SimpleString(open("program.py", "rb").read())'
embedded=$kb
held -c 'exec(open("program.py").read().rpartition("print")[0]); print(tracemalloc.get_traced_memory()[0] // 1024)'
ended=$kb

for kb in "$import" "$compiled" "$ended"; do
    if [ "$kb" -gt $((base * 2)) ]; then
        echo "changed: code that was compiled first, or source that has ended, holds $kb KiB, with -m $base"
        exit 1
    fi
done
for kb in "$file" "$string" "$embedded"; do
    if [ "$kb" -lt $((base + 20000)) ]; then
        echo "changed: source that runs directly holds only $kb KiB, with -m $base"
        exit 1
    fi
done
echo "as described"
