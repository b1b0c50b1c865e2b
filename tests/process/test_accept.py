# SPDX-License-Identifier: BSD-3-Clause
"""Accepting: connections spread evenly over the workers, one worker wakes for each, and none waits for a worker that
cannot take it while another one can."""

import contextlib
import json
import os
import resource
import signal
import socket

import pytest

from lib.load import Load
from lib.procfs import freeze
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import DEADLINE, wait_for

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(autouse=True)
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        pytest.skip("needs 3000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def server(workers=4, **config):
    keys = {"workers": workers, "timeout": 0, **config.pop("server", {})}
    s = Server("hello", {"server": keys, "http": {"keepalive": "1h"}, "control": {"socket": "control.sock"}, **config},
               respawn=True)
    return s


def ask(s, command):
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(DEADLINE)
        c.connect(str(s.dir / "control.sock"))
        c.sendall(command.encode() + b"\n")
        return json.loads(c.makefile().readline())


def workers(s):
    return ask(s, "workers")["workers"]


def all_ready(s, n):
    wait_for(lambda: sum(w["state"] == "ready" for w in workers(s)) == n, what=f"{n} workers")


def counts(s):
    return [w["connections"] for w in workers(s) if w["state"] == "ready"]


class Clients:
    """Keep-alive connections that have had an answer each."""

    def __init__(self, address):
        self.address = address
        self.sockets = []

    def begin(self):
        c = socket.socket()
        self.sockets.append(c)
        c.setblocking(False)
        c.connect_ex(self.address)
        return c

    def finish(self, c):
        c.settimeout(DEADLINE)
        c.sendall(REQUEST)
        assert c.recv(65536).startswith(b"HTTP/1.1 200")

    def one_by_one(self, n):
        for _ in range(n):
            self.finish(self.begin())

    def at_once(self, n):
        for c in [self.begin() for _ in range(n)]:
            self.finish(c)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for c in self.sockets:
            c.close()


@pytest.mark.parametrize("how", ["one_by_one", "at_once"])
def test_connections_spread_over_the_workers(how):
    with server() as s, Clients(s.address) as clients:
        all_ready(s, 4)
        getattr(clients, how)(1000)
        found = counts(s)
        assert sum(found) == 1000 and max(found) <= 1.3 * min(found), found


def test_one_worker_wakes_for_a_connection():
    with server() as s, Clients(s.address) as clients:
        all_ready(s, 4)
        clients.one_by_one(200)
        found = workers(s)
        assert sum(w["accepted"] for w in found) == 200
        # Were all of them woken each time, it would be 600.
        assert sum(w["woken_in_vain"] for w in found) < 200, found


def test_a_new_worker_catches_up():
    with server() as s, Clients(s.address) as clients:
        all_ready(s, 4)
        clients.one_by_one(200)
        before = sorted(counts(s))
        victim = workers(s)[2]["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: victim not in [w["pid"] for w in workers(s)], what="its end")
        all_ready(s, 4)
        left = sorted(counts(s))
        assert left[0] == 0 and min(left[1:]) >= min(before), (before, left)
        clients.one_by_one(40)
        found = counts(s)
        assert sum(found) == sum(left) + 40 and min(found) >= 20, found # most of the new ones went where there were fewest


def test_nobody_waits_for_workers_that_are_stopped():
    with server() as s, Clients(s.address) as clients, contextlib.ExitStack() as stack:
        all_ready(s, 4)
        clients.one_by_one(40)
        alone, *others = [w["pid"] for w in workers(s)]
        for pid in others:
            freeze(pid)
            stack.callback(os.kill, pid, signal.SIGCONT)
        clients.one_by_one(100) # far more than its share
        assert next(w for w in workers(s) if w["pid"] == alone)["connections"] >= 100


def test_worker_connections_is_kept_and_others_go_on():
    with server(2, server={"worker_connections": 20}) as s, Clients(s.address) as clients:
        all_ready(s, 2)
        clients.one_by_one(40)
        assert counts(s) == [20, 20]
        waiting = clients.begin()
        clients.sockets.pop(0).close()
        clients.finish(waiting)
        assert sum(counts(s)) == 40


# --- reuseport ---

def listening(port):
    """Queue lengths of the sockets that listen on the port of 127.0.0.1, by inode."""
    found = {}
    with open("/proc/net/tcp") as lines:
        for line in lines:
            fields = line.split()
            if fields[1] == f"0100007F:{port:04X}" and fields[3] == "0A":
                found[fields[9]] = int(fields[4].split(":")[1], 16)
    return found


@contextlib.contextmanager
def seated(n=3, **keys):
    port = free_port()
    with server(n, server={"accept": "reuseport", "bind": f"127.0.0.1:{port}", **keys}) as s:
        all_ready(s, n)
        yield s, ("127.0.0.1", port)


def test_each_worker_has_a_socket():
    with seated() as (s, address), Clients(address) as clients:
        assert len(listening(address[1])) == 3
        assert s.log().count(f"listening on 127.0.0.1:{address[1]}") == 1 and len(ask(s, "status")["binds"]) == 1
        clients.one_by_one(300)
        assert min(counts(s)) >= 50 and sum(w["woken_in_vain"] for w in workers(s)) == 0


def test_an_address_in_use_is_found_out():
    with seated() as (_, address):
        second = server(3, server={"accept": "reuseport", "bind": f"127.0.0.1:{address[1]}"})
        second.status, second.allow = 2, {"[CRITICAL]"}
        second.start()
        assert second.wait_exit() == 2
        second.stop()


@pytest.mark.parametrize("how", ["reload", "scale", "recycle"])
def test_no_connection_is_lost_with_a_worker_that_goes(how):
    keys = {"max_requests": "200"} if how == "recycle" else {}
    with seated(**keys) as (s, address), Load(address, per_connection=1) as load:
        load.more()
        if how == "reload":
            for _ in range(3):
                assert ask(s, "reload")["ok"]
                load.more()
        elif how == "scale":
            for n in (1, 5, 2, 3):
                assert ask(s, f"scale {n}")["ok"]
                wait_for(lambda: len(workers(s)) == n and all(w["state"] == "ready" for w in workers(s)), what=f"{n} workers")
                load.more()
        else:
            wait_for(lambda: s.log().count("is to be replaced") >= 3, what="recycling")
            load.more()
        load.stop()
        assert load.failed == {} and load.ok
        assert len(listening(address[1])) == 3


def test_the_queue_of_a_worker_that_died_or_hangs_is_served_by_others():
    with seated() as (s, address), contextlib.ExitStack() as stack:
        alone, hangs, dies = [w["pid"] for w in workers(s)]
        freeze(hangs)
        stack.callback(os.kill, hangs, signal.SIGCONT)
        with Clients(address) as clients:
            clients.at_once(30) # some of them wait in the queue of the one that is stopped
            os.kill(dies, signal.SIGKILL)
            clients.at_once(30)
        assert alone in [w["pid"] for w in workers(s)]
