# SPDX-License-Identifier: BSD-3-Clause
"""A client of the soak: threads of a process of their own that do one task after the other and keep book.

Every answer is held against its request by name. What fails is told to the parent with the connections of the task, when
each was opened and which worker was known to be behind it: the parent knows what was done to the workers. Must never
decide by itself that a failure is all right.
"""

import multiprocessing
import random
import ssl
import threading
import time
import traceback
from collections import Counter

from lib import certs
from lib.client import Conn, Truncated
from lib.tls import TLSConn


class Told(Exception):
    """The server said that it ends this connection, as it may while a worker leaves."""


class Link:
    """What is known of a connection; begun before it is open."""

    def __init__(self):
        self.opened, self.conn, self.pid = time.monotonic(), None, None

    def told(self, cut, asked):
        """For the parent. idle: when it was cut between an answer and the first byte of the next, when the server may have
        sent that answer at the earliest."""
        idle = asked[0] if cut and self.pid and not self.conn.buffer else None
        return {"opened": self.opened, "pid": self.pid, "idle": idle}


class Gate:
    """Shared by all processes: lets the tasks run, holds them at a rest, ends them."""

    def __init__(self):
        self.open = multiprocessing.Event()
        self.over = multiprocessing.Event()
        self.busy = multiprocessing.Value("i", 0)

    def enter(self):
        """Waits at a rest; False when all is over."""
        while not self.over.is_set():
            with self.busy.get_lock():
                if self.open.is_set():
                    self.busy.value += 1
                    return True
            self.open.wait(0.2)
        return False

    def leave(self):
        with self.busy.get_lock():
            self.busy.value -= 1


class Client:
    """One thread. `tasks`: [(weight, function)]; places: where the server is."""

    def __init__(self, name, seed, places, tasks, pause):
        self.prefix, self.places, self.pause = name, places, pause
        self.rng = random.Random(f"{seed}/{name}")
        self.weights, self.tasks = zip(*tasks)
        self.serial, self.kind, self.links = 0, "", []
        self.asked = (0.0, 0.0)  # when the last request but one began, and the last one
        self.lock = threading.Lock()
        self.counts, self.pids, self.failures = Counter(), Counter(), []
        self.context = None
        self.sessions = {}

    # --- for tasks ---

    def names(self, n, mark):
        """Of n requests that leave together. Those with "k" are answered or reported, and the access log has each exactly once."""
        self.asked = (self.asked[1], time.monotonic())
        self.serial += n
        return [f"{mark}{self.prefix}.{self.serial - i}" for i in reversed(range(n))]

    def name(self, mark="k"):
        """Of a request that is sent at once."""
        return self.names(1, mark)[0]

    def chance(self, p):
        return self.rng.random() < p

    def connect(self, tls=None, alpn="http/1.1", **options):
        """A connection in the clear or, unless said otherwise one time in four, over TLS, resumed every other time."""
        link = Link()
        self.links.append(link)
        if not (self.chance(0.25) if tls is None else tls):
            link.conn = conn = Conn(self.places["clear"], **options)
        else:
            context, session = self.sessions.get(alpn) or (certs.context(alpn=(alpn,)), None)
            link.conn = conn = TLSConn(self.places["tls"], context=context, session=session if self.chance(0.5) else None, **options)
            conn.tls_context = context
            with self.lock:
                self.counts["(TLS resumed)" if conn.reused else "(TLS full)"] += 1
        conn.link = link
        return conn

    def remember_session(self, conn, alpn="http/1.1"):
        if isinstance(conn, TLSConn):
            self.sessions[alpn] = (conn.tls_context, conn.session)

    def of_worker(self, conn, pid):
        """A connection stays with its worker."""
        link = conn.link
        assert link.pid in (None, pid), f"worker {link.pid} answered before on this connection, now {pid}"
        link.pid = pid
        with self.lock:
            self.pids[pid] += 1

    def check(self, conn, response, name, body=None, status=200):
        """The right answer to the right request; counts it."""
        assert response.status == status, (name, response)
        assert response.get("x-id") == name, f"{name} was answered by {response}"
        self.of_worker(conn, int(response.get("x-pid")))
        if body is not None:
            assert response.body == body, f"{name}: {len(response.body)} bytes, not the {len(body)} that are right"
        self.done(name)

    def done(self, name="", kind=None):
        with self.lock:
            self.counts[kind or self.kind] += 1
            self.counts["(kept)"] += name.startswith("k")

    # --- the thread ---

    def run(self, gate):
        while gate.enter():
            try:
                self.one()
            finally:
                gate.leave()
            time.sleep(self.rng.random() * self.pause)

    def one(self):
        task = self.rng.choices(self.tasks, self.weights)[0]
        self.kind, self.links = task.__name__, []
        try:
            task(self)
        except Told:
            self.done(kind="(told to go)")
        except Exception as e:
            self.fail(e)
        finally:
            for link in self.links:
                if link.conn:
                    link.conn.close()

    def fail(self, e):
        cut = isinstance(e, (Truncated, ConnectionError, ssl.SSLError))
        where = traceback.extract_tb(e.__traceback__)[1 if len(traceback.extract_tb(e.__traceback__)) > 1 else 0:]
        text = f"{type(e).__name__}: {str(e)[:400]} at {' < '.join(f'{f.name}:{f.lineno}' for f in where[:5])}"
        with self.lock:
            self.failures.append({"kind": self.kind, "at": time.monotonic(), "text": text, "client": self.prefix,
                                  "serial": self.serial, "links": [link.told(cut, self.asked) for link in self.links]})

    def take(self):
        """What was counted since the last call."""
        with self.lock:
            taken = (self.counts, self.pids, self.failures)
            self.counts, self.pids, self.failures = Counter(), Counter(), []
            return taken


def run_process(name, seed, places, groups, gate, pipe):
    """groups: [(number of threads, tasks, pause)]. Reports through the pipe twice a second, and last when all is over."""
    clients = [Client(f"{name}{g}{i}", seed, places, tasks, pause)
               for g, (n, tasks, pause) in zip("abc", groups) for i in range(n)]
    threads = [threading.Thread(target=c.run, args=(gate,)) for c in clients]
    for t in threads:
        t.start()
    last = False
    while not last:
        last = not any(t.is_alive() for t in threads)
        counts, pids, failures = Counter(), Counter(), []
        for c in clients:
            more = c.take()
            counts.update(more[0])
            pids.update(more[1])
            failures += more[2]
        pipe.send((counts, pids, failures))
        if not last:
            time.sleep(0.3)
    pipe.close()
