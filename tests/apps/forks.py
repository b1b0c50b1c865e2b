# SPDX-License-Identifier: BSD-3-Clause
"""Forks in every way and place, and children that end in every way. The parent answers with what became of the child.

/end/WAY/END        the child is forked by WAY and ends by END, in the request
/task/END, /callback/END, /executor/END, /thread/END    the same in a Task, a callback of the loop, other threads
/look/WAY           what the child is and can do: see look()
/sleep/WAY          the id of a child that sleeps
/job/NAME           a library that forks, run to its end
With TINE_FORK_AT (import, lifespan) a child is forked there and ends by TINE_FORK_END.
"""

import asyncio
import concurrent.futures
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

from apps.report import report


def by_c():
    """As a library in C does it: CPython does not know."""
    return ctypes.PyDLL(None).fork()


def fork(way):
    if way == "forkpty":
        return os.forkpty()[0]
    return by_c() if way == "c" else os.fork()


def end(how):
    """In the child. What returns goes on as if it were the parent."""
    if how == "exit":
        sys.exit(3)
    if how == "exit0":
        sys.exit()
    if how == "text":
        sys.exit("a last word")
    if how == "raise":
        raise ValueError("raised in a child")
    if how == "os_exit":
        os._exit(7)
    if how == "thread":  # what it started is waited for
        threading.Thread(target=lambda: (time.sleep(0.1), report(thread="done"))).start()
        sys.exit(4)
    if how == "daemon":  # the double fork of python-daemon and many recipes
        os.setsid()
        if os.fork():
            sys.exit(0)
        report(daemon=True)
        time.sleep(3600)
    if how == "sleep":
        time.sleep(3600)


def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# AddressSanitizer's allocator (GCC's before 14) hands its locks on to a child as other threads hold them at that moment: the child
# may then hang at its first allocation, whoever forked it. Under it one that hangs is forked anew; elsewhere each is waited for.
SANITIZED = "libasan" in open("/proc/self/maps").read()
HANGS = 20  # seconds


def hangs(pid):
    """Whether the child had to be ended; under the sanitizer alone."""
    end_at = time.monotonic() + HANGS
    while SANITIZED and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > end_at:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True
        time.sleep(0.01)
    return False


def forked(way, how):
    """In the parent what became of the child; the child may come back with None."""
    while pid := fork(way):
        if not hangs(pid):
            return status_of(pid)
    end(how)


def signals():
    text = open("/proc/self/status").read()
    names = ("SigBlk", "SigIgn", "SigCgt")
    found = {name: int(text.split(f"{name}:")[1].split()[0], 16) for name in names}
    return {kind: [n for n in range(1, 65) if mask >> (n - 1) & 1] for kind, mask in found.items()}


def raised(what, *args):
    try:
        what(*args)
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    return None


async def of_its_own():
    """Whatever an event loop does, in the loop that a child makes."""
    async def one(n):
        await asyncio.sleep(0.001)
        return n, asyncio.current_task() in asyncio.all_tasks()
    async with asyncio.timeout(10):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(n)) for n in range(3)]
        found = await asyncio.to_thread(os.getpid)
        process = await asyncio.create_subprocess_exec("/bin/echo", "hello", stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        return [t.result() for t in tasks], found == os.getpid(), out.decode()


def look(loop):
    """What the child is, in the child."""
    fds = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            fds[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the folder's own
            continue
    found = {"fds": fds, "signals": signals(), "running": raised(asyncio.get_running_loop)}
    if loop is not None:
        read, _ = socket.socketpair()
        coroutine = asyncio.sleep(0)
        found["loop"] = {"call_soon": raised(loop.call_soon, print), "call_later": raised(loop.call_later, 1, print),
                         "call_soon_threadsafe": raised(loop.call_soon_threadsafe, print),
                         "add_reader": raised(loop.add_reader, read, print), "remove_reader": raised(loop.remove_reader, read),
                         "create_task": raised(loop.create_task, coroutine), "run_forever": raised(loop.run_forever),
                         "is_running": loop.is_running()}
        coroutine.close()
    if found["running"]:  # none runs; CPython from 3.12 on takes no notice of a fork in C
        found["own"] = asyncio.run(of_its_own())
    if loop is not None:
        found["close"] = raised(loop.close)
    if found["running"]:
        found["own again"] = asyncio.run(of_its_own())
    return found


def looked(way, loop):
    read, write = os.pipe()
    pid = fork(way)
    if pid == 0:
        try:
            with os.fdopen(write, "w") as out:
                json.dump(look(loop), out)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as found:
        if SANITIZED and not select.select([found], [], [], HANGS)[0]:
            os.kill(pid, signal.SIGKILL)
            status_of(pid)
            return looked(way, loop)
        text = found.read()
    status_of(pid)
    return json.loads(text) if text else None


# --- libraries ---

def square(n):
    return n * n, os.getpid()


def processes(method):
    import multiprocessing
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        found = pool.map(square, range(4))
    process = context.Process(target=square, args=(2,))
    process.start()
    process.join()
    return [n for n, _ in found], os.getpid() not in [pid for _, pid in found], process.exitcode


def executor(method):
    import multiprocessing
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        return [n for n, _ in pool.map(square, range(4))]


def preexec():
    ran = subprocess.run(["/bin/cat"], input=b"hello", stdout=subprocess.PIPE, preexec_fn=lambda: os.setsid())
    return ran.returncode, ran.stdout.decode()


def pty_fork():
    import pty
    pid, fd = pty.fork()
    if pid == 0:
        os.execv("/bin/echo", ["echo", "from a terminal"])
    status, text = None, b""
    try:
        while piece := os.read(fd, 100):
            text += piece
    except OSError:  # the other side is gone
        pass
    status = status_of(pid)
    os.close(fd)
    return status, text.decode().strip()


def spawned():
    pid = os.posix_spawn("/bin/true", ["true"], os.environ)
    return status_of(pid)


def terminated():
    process = subprocess.Popen(["/bin/sleep", "3600"])
    process.terminate()
    return process.wait(10)


JOBS = {"fork": lambda: processes("fork"), "spawn": lambda: processes("spawn"), "forkserver": lambda: processes("forkserver"),
        "executor": lambda: executor("fork"), "preexec": preexec, "pty": pty_fork, "spawned": spawned, "terminated": terminated}

kept = []  # what must stay busy


def pool_at_work(method):
    import multiprocessing
    pool = concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method))
    kept.append((pool, [pool.submit(work) for _ in range(2)]))
    return [pid for pid in pool._processes]


def busy():
    """A pool of processes that work for long, and a child that sleeps."""
    pids = pool_at_work("fork")
    pid = os.fork()
    if pid == 0:
        report(busy=True)
        time.sleep(3600)
    return pids + [pid]


def work():
    report(busy=True)
    end_at = time.monotonic() + 3600
    while time.monotonic() < end_at:
        sum(range(1000))


def answer(path, loop=None):
    """What the parent answers; in a child None or nothing."""
    kind, _, rest = path.strip("/").partition("/")
    if kind == "":
        return os.getpid()
    if kind == "end":
        return forked(*rest.split("/"))
    if kind == "look":
        return looked(rest, loop)
    if kind == "sleep":
        pid = fork(rest)
        return pid or end("sleep")
    if kind == "job":
        return JOBS[rest]()
    if kind == "busy":
        return pool_at_work(rest) if rest else busy()
    if kind == "thread":
        found = []
        thread = threading.Thread(target=lambda: found.append(forked("fork", rest)))
        thread.start()
        thread.join()
        return found[0] if found else None
    raise LookupError(path)


# --- ASGI ---

async def run(path):
    loop = asyncio.get_running_loop()
    kind, _, rest = path.strip("/").partition("/")
    if kind == "task":
        async def in_task():
            await asyncio.sleep(0)
            return forked("fork", rest)
        return await asyncio.create_task(in_task())
    if kind == "callback":
        future = loop.create_future()
        loop.call_soon(lambda: future.set_result(forked("fork", rest)))
        return await future
    if kind == "executor":
        return await asyncio.to_thread(forked, "fork", rest)
    if kind == "queued":  # more work waits for the thread that forks
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            begin = threading.Event()
            first = loop.run_in_executor(pool, lambda: (begin.wait(), forked("fork", rest))[1])
            others = [loop.run_in_executor(pool, lambda n=n: report(work=n)) for n in range(3)]
            begin.set()
            await asyncio.gather(*others)
            return await first
    if kind == "await":
        pid = os.fork()
        if pid == 0:
            await loop.create_future()
        return status_of(pid)
    if kind == "awaited":  # waits already, on behalf of the parent, when it forks
        await asyncio.sleep(0.01)
        return forked("fork", rest)
    return answer(path, loop)


async def lifespan(receive, send):
    while True:
        message = await receive()
        kind = message["type"].removeprefix("lifespan.")
        if kind == "startup" and os.environ.get("TINE_FORK_AT") == "lifespan":
            report(forked=forked("fork", os.environ["TINE_FORK_END"]))
        if kind == "shutdown":
            report(shutdown=True)
        await send({"type": message["type"] + ".complete"})
        if kind == "shutdown":
            return


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": json.dumps(await run(message["text"]))})
        return
    body = json.dumps(await run(scope["path"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


# --- WSGI ---

def pieces(path):
    yield json.dumps(forked("fork", path)).encode()


class Closing(list):
    def close(self):
        pid = os.fork()
        if pid == 0:
            end("exit")
        report(closed=status_of(pid))


def wsgi(environ, start_response):
    kind, _, rest = environ["PATH_INFO"].strip("/").partition("/")
    if kind == "pieces":
        start_response("200 OK", [])
        return pieces(rest)
    if kind == "closing":
        start_response("200 OK", [("Content-Length", "2")])
        return Closing([b"ok"])
    if kind == "body":
        pid = os.fork()
        if pid == 0:
            environ["wsgi.input"].read()
        return [start_response("200 OK", []) and json.dumps(status_of(pid)).encode()]
    body = json.dumps(answer(environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


import atexit  # noqa: E402

atexit.register(lambda: report(atexit=True))

if os.environ.get("TINE_FORK_AT") == "import":
    report(forked=forked("fork", os.environ["TINE_FORK_END"]))
