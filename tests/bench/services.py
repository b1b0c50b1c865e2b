# SPDX-License-Identifier: BSD-3-Clause
"""Redis and PostgreSQL for the benchmarks: Debian's (redis-server, postgresql), private ones that keep their data in a temporary
folder, on ports of 127.0.0.1 that are free."""
import contextlib
import glob
import os
import shutil
import socket
import subprocess
import time

LOCAL = "127.0.0.1"
POSTGRES = sorted(glob.glob("/usr/lib/postgresql/*/bin"))


def has_redis():
    return bool(shutil.which("redis-server"))


def has_postgres():
    return bool(POSTGRES)


@contextlib.contextmanager
def process(argv, **keywords):
    child = subprocess.Popen(argv, start_new_session=True, **keywords)
    try:
        yield child
    finally:
        child.terminate()
        child.wait()


def free_port():
    with socket.socket() as s:
        s.bind((LOCAL, 0))
        return s.getsockname()[1]


def wait_for_port(port, child, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and child.poll() is None:
        with socket.socket() as s:
            if s.connect_ex((LOCAL, port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("%s does not start" % child.args[0])


@contextlib.contextmanager
def redis_server(folder):
    port = free_port()
    argv = ["redis-server", "--port", str(port), "--bind", LOCAL, "--save", "", "--dir", folder]
    with process(argv, stdout=subprocess.DEVNULL) as child:
        wait_for_port(port, child)
        yield port


@contextlib.contextmanager
def postgres_server(folder, sql=""):
    """A new cluster, in which the statements of `sql`, one a line, have run. PostgreSQL refuses to run as root."""
    port, data = free_port(), os.path.join(folder, "postgres")
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    os.makedirs(data)
    if user:
        os.chmod(folder, 0o711)
        shutil.chown(data, "postgres")

    def run(program, *args, **keywords):
        subprocess.run([*user, os.path.join(POSTGRES[-1], program), *args], check=True, cwd=data, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, **keywords)
    run("initdb", "-D", data, "-U", "bench", "-A", "trust")
    run("postgres", "--single", "-D", data, "postgres", input=sql.encode())
    run("pg_ctl", "-w", "-D", data, "-o", "-p %d -h %s -k %s -N 500" % (port, LOCAL, data), "start")
    try:
        yield "postgresql://bench@%s:%d/postgres?sslmode=disable" % (LOCAL, port)
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
