#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the static analysers over all C of a build directory: gcc -fanalyzer, clang-tidy and cppcheck.

Each file is compiled by nobody here, only read, with the flags that `make` would use (asked for by `make -n`). A file
passes with a tool when the tool has nothing to say about it; what a tool is not to look for, and why, stands in
.clang-tidy, in cppcheck.txt beside this file and in GCC_OFF below, or, for one line, in a NOLINT or
cppcheck-suppress comment at that line. The last line is "N passed, N failed". Standard library only.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
OURS = ("common", "conf", "master", "worker")
TOOLS = ("gcc", "clang-tidy", "cppcheck")
COMPILE = re.compile(r"(?P<flags>\S*gcc .*?) -MT .* -c -o \S+ (?:`test -f '(?P<beside>[^']+\.c)'|(?P<file>\S+\.c))")
# Of the paths through one function, how many nodes clang's analyzer looks at. Its default, 225000, takes four times as
# long; TINE_CLANG_NODES=225000 is for the patient.
CLANG_NODES = int(os.environ.get("TINE_CLANG_NODES", "10000"))
# gcc 12 takes what is put into a list, a table or a growing array for lost; LeakSanitizer sees the whole suite instead.
GCC_OFF = ("malloc-leak",)
# A test that gets no memory may die of it.
GCC_OFF_TESTS = ("possible-null-argument", "possible-null-dereference")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", type=Path, default=Path.cwd(), help="a configured build directory (default: here)")
    options.add_argument("--tools", default=",".join(TOOLS), help="which of: " + " ".join(TOOLS))
    options.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--times", action="store_true", help="say what each run has cost")
    options.add_argument("files", nargs="*", help="only these files of the tree")
    arguments = options.parse_args()
    build = arguments.build.resolve()
    commands = read_commands(build)
    wanted = {str(Path(name).resolve().relative_to(TOP)) for name in arguments.files} or set(commands)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(arguments.jobs) as pool:
        write_database(commands, build, Path(scratch))
        for tool in arguments.tools.split(","):
            started = time.monotonic()
            command_of = {"gcc": gcc, "clang-tidy": clang_tidy, "cppcheck": cppcheck}[tool]
            # clang-tidy takes the most time by far, and has nothing to teach about tests.
            names = [name for name in wanted if tool != "clang-tidy" or name.startswith(OURS)]
            jobs = [(tool, name, command_of(build, Path(scratch), name, commands[name]), build)
                    for name in sorted(names, key=size, reverse=True)]
            verdicts = list(pool.map(run, jobs))
            bad = sum(1 for good, _ in verdicts if not good)
            passed, failed = passed + len(verdicts) - bad, failed + bad
            print(f"{tool}: {len(verdicts)} files, {bad} with findings ({time.monotonic() - started:.0f} s,"
                  f" {sum(cpu for _, cpu in verdicts):.0f} s of processor)", flush=True)
            if arguments.times:
                for (_, name, _, _), (_, cpu) in zip(jobs, verdicts):
                    print(f"  {cpu:6.1f} {name}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def size(name):
    return (TOP / name).stat().st_size


def read_commands(build):
    """{file of the tree: the flags it is compiled with}; of a file that several programs share, the first's."""
    # -B: as if nothing were built. -o: but leave alone what make would begin with, -n or not, since it includes it.
    of_make = [f"-o{name}" for name in ("Makefile", "config.status", "config.h", "stamp-h1",
                                        *(path.relative_to(build) for path in build.rglob("*.Po")))]
    asked = subprocess.run(["make", "-n", "-B", *of_make, "V=1", "all-am", "check-programs"], cwd=build,
                           stdout=subprocess.PIPE, text=True, check=True)
    commands = {}
    for line in asked.stdout.splitlines():
        found = COMPILE.search(line)
        if found:
            name = found["beside"] or str((build / found["file"]).resolve().relative_to(TOP))
            commands.setdefault(name, shlex.split(found["flags"])[1:])
    for name in sorted(str(path.relative_to(TOP)) for folder in OURS for path in (TOP / folder).rglob("*.c")):
        if name not in commands:
            print(f"not part of this build: {name}")
    return commands


def write_database(commands, build, scratch):
    known = {name: [flag for flag in flags if not flag.startswith("-f") or flag.startswith("-fno-strict")]
             for name, flags in commands.items()}
    database = [{"directory": str(build), "file": str(TOP / name), "arguments": ["cc", *flags, "-c", str(TOP / name)]}
                for name, flags in known.items()]
    (scratch / "compile_commands.json").write_text(json.dumps(database))


def gcc(build, scratch, name, flags):
    kept = [flag for flag in flags if flag != "-O2" and not flag.startswith(("-D_FORTIFY", "-U_FORTIFY", "-g"))]
    off = GCC_OFF + (GCC_OFF_TESTS if name.startswith("tests/") else ())
    return ["gcc", *kept, "-O0", "-Werror", "-fanalyzer", *(f"-Wno-analyzer-{what}" for what in off), "-S",
            "-o", "/dev/null", str(TOP / name)]


def clang_tidy(build, scratch, name, flags):
    limit = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={CLANG_NODES}")]
    return ["clang-tidy", "-p", str(scratch), "--quiet", "--warnings-as-errors=*", *limit, str(TOP / name)]


def cppcheck(build, scratch, name, flags):
    foreign = [flag for flag in flags if flag.startswith("-I/") and not flag.startswith(f"-I{TOP}")]
    kept = [flag for flag in flags if flag.startswith(("-D", "-I", "-U")) and flag not in foreign]
    return ["cppcheck", "--quiet", "--enable=warning,performance,portability", "--inline-suppr", "--std=c11", "--error-exitcode=1",
            "--library=posix,gnu,bsd,python,zlib,openssl", "--platform=unix64", f"--include={queue_h()}",
            f"--suppressions-list={HERE / 'cppcheck.txt'}", "--template=gcc", *kept, str(TOP / name)]


def queue_h():
    """cppcheck is not shown the system's headers, but cannot do without the macros for lists."""
    asked = subprocess.run(["gcc", "-E", "-include", "sys/queue.h", "-x", "c", "/dev/null"], stdout=subprocess.PIPE, text=True)
    return re.search(r'"(/\S+/sys/queue\.h)"', asked.stdout)[1]


def run(job):
    """(nothing found, seconds of processor)"""
    tool, name, command, build = job
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, cwd=build, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if child.returncode:
            print(f"--- {tool} {name}: exit status {child.returncode}\n{said.read()}", flush=True)
    return child.returncode == 0, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
