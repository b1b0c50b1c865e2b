# SPDX-License-Identifier: BSD-3-Clause
"""interpreter = auto: what does not work in a sub-interpreter is found out by trying, gets the main interpreter without a lost
request, and that is said in one line and remembered."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lib import extension
from lib.build import binary, hosted, own_python, pythons
from lib.load import Load
from lib.places import rest
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import WS, handshake

HEAD = """
import asyncio
import json
import os
import signal
import sys
import time
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def number(id):
    return id[0] if isinstance(id, tuple) else int(id)

SUB = number(interpreters.get_current()) != number(interpreters.get_main())
HERE = os.path.dirname(__file__)

def note(what):
    with open(os.path.join(HERE, "notes"), "a") as out:
        out.write(what + "\\n")

def at_start(): pass
def at_request(path): pass
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        try:
            at_start()
        except Exception:
            import traceback
            await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        note("shutdown in " + ("sub" if SUB else "main"))
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        at_request(scope["path"])
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            at_request(message["text"])
            await send({"type": "websocket.send", "text": "sub" if SUB else "main"})
        return
    found = at_request(scope["path"])
    if asyncio.iscoroutine(found):
        await found
    body = (b"sub" if SUB else b"main") + b" %d" % os.getpid()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
WSGI = """
import base64, hashlib

def shake_hands(environ):
    proof = hashlib.sha1(environ["HTTP_SEC_WEBSOCKET_KEY"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    environ["gunicorn.socket"].sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: upgrade\\r\\n"
                                       b"Sec-WebSocket-Accept: " + base64.b64encode(proof) + b"\\r\\n\\r\\n")

def app(environ, start_response):
    if "HTTP_SEC_WEBSOCKET_KEY" in environ:
        shake_hands(environ)
    at_request(environ["PATH_INFO"])
    body = (b"sub" if SUB else b"main") + b" %d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def folder(tmp_path):
    extension.put(tmp_path, *extension.MODULES)
    return tmp_path


def server(folder, code, app=ASGI, *, config=None, **options):
    (folder / "tried_app.py").write_text(HEAD + code + app)
    config = dict(config or {})
    config["app"] = {"pythonpath": folder, **config.get("app", {})}
    return Server("tried_app:app", config, cwd=folder, **{"respawn": True, **options})


def lives_in(s):
    return s.get("/").body.split()[0].decode()


def said(s):
    """The lines that say something of the choice."""
    return re.findall(r"^\[.*?\] \[\d+\] \[\w+\] (the application (?:refuses|does not|lives).*)$", s.log(), re.M)


# --- failures to load and to start ---

# name: (code, what the one line names)
FAILURES = {
    "module": ("import picky", r"picky: ImportError: picky says no"),
    "module, swallowed": ("try:\n    import picky\nexcept ImportError:\n    pass", r"picky: ImportError: picky says no"),
    "module, hidden by another error": ("try:\n    import picky\nexcept ImportError:\n    raise ValueError('no picture formats') from None",
                                        r"picky: ImportError: picky says no"),
    "exception": ("if SUB:\n    raise ValueError('first\\nlast')", "last"),
    "SystemExit": ("if SUB:\n    raise SystemExit('not here')", "SystemExit: not here"),
    "exit": ("if SUB:\n    os._exit(0)", "a worker exited with status 0 before it was ready"),
    "signal": ("if SUB:\n    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGSEGV]); os.kill(os.getpid(), signal.SIGSEGV)",
               "a worker was killed by SIGSEGV.* before it was ready"),
    "SIGKILL": ("if SUB:\n    os.kill(os.getpid(), signal.SIGKILL)", "a worker was killed by SIGKILL.* before it was ready"),
    "abort in C": ("import picky_aborts", "a worker was killed by SIGABRT.* before it was ready"),
    "hang": ("if SUB:\n    time.sleep(1000)", r"a worker was not ready after 1\.5 s"),
    "hang in C": ("import picky_waits", r"a worker was not ready after 1\.5 s"),
    "fork, swallowed": ("try:\n    pid = os.fork()\nexcept RuntimeError:\n    pass\nelse:\n    pid or os._exit(0)\n    os.waitpid(pid, 0)",
                        r"os\.fork\(\): CPython aborts the child"),
    "lifespan, by its text": ("def at_start():\n    if SUB:\n        raise ValueError('no pool')", "ValueError: no pool"),
    "lifespan, module": ("def at_start():\n    import picky", r"picky: ImportError: picky says no"),
    "lifespan, module, swallowed": ("def at_start():\n    try:\n        import picky\n    except ImportError:\n        pass",
                                    r"picky: ImportError: picky says no"),
    "lifespan, exit": ("def at_start():\n    if SUB:\n        os._exit(1)", "a worker exited with status 1 before it was ready"),
    "lifespan, loop stopped": ("def at_start():\n    if SUB:\n        asyncio.get_running_loop().stop(); time.sleep(0)\n"
                               "        raise SystemExit(3)", "SystemExit: 3"),
}


# Each way to fail once on every check; in two workers, what each of them meets and is said once.
ALWAYS = {"module": 2, "module, swallowed": 1, "signal": 2, "exit": 1, "hang in C": 1, "fork, swallowed": 1, "lifespan, by its text": 1,
          "lifespan, module, swallowed": 1, "lifespan, loop stopped": 1}


@pytest.mark.parametrize("failure", [*ALWAYS, *rest(*(name for name in FAILURES if name not in ALWAYS))])
def test_what_fails_in_a_sub_interpreter_serves_in_the_main_one(folder, failure):
    code, words = FAILURES[failure]
    workers = ALWAYS.get(failure, 2)
    with server(folder, code, config={"server": {"workers": workers, "boot_timeout": 1.5 if "hang" in failure else 60}}) as s:
        wait_for(lambda: s.log().count("] ready\n") and s.log().count(" is ready\n") == workers, what="each worker")
        assert lives_in(s) == "main"
        line, = said(s)
        assert re.fullmatch(rf"the application refuses sub-interpreters \({words}\): it lives in the main interpreter, which works", line)
        assert "Traceback" not in s.log() and "failed to start" not in s.log()
    notes = (folder / "notes").read_text().splitlines() if (folder / "notes").exists() else []
    assert notes.count("shutdown in main") == workers


def test_a_wsgi_application_gets_the_main_interpreter_alike(folder):
    with server(folder, "import picky", WSGI) as s:
        assert lives_in(s) == "main" and len(said(s)) == 1


def test_one_that_had_started_when_its_refusal_was_seen_is_shut_down_in_order(folder):
    code = "def at_start():\n    note('startup in ' + ('sub' if SUB else 'main'))\n    try:\n        import picky\n    except ImportError:\n        pass"
    with server(folder, code) as s:
        assert lives_in(s) == "main"
        assert (folder / "notes").read_text().splitlines() == ["startup in sub", "shutdown in sub", "startup in main"]


def test_all_applications_of_a_worker_move_together(folder):
    (folder / "other_app.py").write_text(HEAD + "import picky" + ASGI)
    with server(folder, "", config={"mount:/other": {"module": "other_app:app"}}) as s:
        assert lives_in(s) == "main"
        assert s.get("/other/").body.startswith(b"main")
        assert len(said(s)) == 1


def test_a_module_that_no_interpreter_could_load_is_no_refusal(folder):
    """Its library is not installed, or it is optional: the text is that of dlopen(3)."""
    with server(folder, "try:\n    import picky_broken\nexcept ImportError:\n    pass") as s:
        assert lives_in(s) == "sub" and said(s) == []


def test_if_main_fails_too_its_error_is_the_one_that_is_reported(folder):
    s = server(folder, "raise ValueError('in ' + ('sub' if SUB else 'main'))", status=4, allow={"Traceback"}).start()
    try:
        assert s.wait_exit() == 4
        assert "ValueError: in main" in s.log() and "in sub" not in s.log()
        assert s.log().count("Traceback") == 1 and said(s) == []
    finally:
        s.stop()


def test_sub_is_what_it_says(folder):
    """The service does not start, and the traceback says what to do; what is swallowed is a warning."""
    s = server(folder, "import picky", config={"app": {"interpreter": "sub"}}, status=4, allow={"Traceback"}).start()
    try:
        assert s.wait_exit() == 4
        assert re.search(r"^ImportError: picky says no\nTine: .*set \"interpreter = main\" in section \[app\]$", s.log(), re.M)
        assert "tine _tine" not in s.log(), "nothing of the server's in the traceback"
    finally:
        s.stop()
    with server(folder, FAILURES["module, swallowed"][0], config={"app": {"interpreter": "sub"}}) as s:
        s.wait_log(r"\[WARNING\] something refuses sub-interpreters \(picky: ImportError: picky says no\)")
        assert lives_in(s) == "sub"


def test_main_tries_nothing_else(folder):
    with server(folder, "note('loaded in ' + ('sub' if SUB else 'main'))", config={"app": {"interpreter": "main"}}) as s:
        assert lives_in(s) == "main" and said(s) == []
        assert (folder / "notes").read_text() == "loaded in main\n"


def test_a_reload_that_needs_it_loses_nothing(folder):
    with server(folder, "", config={"server": {"workers": 2}}) as s, Load(s.address, clients=2, pause=0.01) as load:
        wait_for(lambda: s.log().count(") is ready") == 2, what="two workers that have loaded the first version")
        assert lives_in(s) == "sub"
        load.more(20)
        (folder / "tried_app.py").write_text(HEAD + "import picky" + ASGI)
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 2 serves")
        load.more(20).stop()
        assert load.failed == {}
        wait_for(lambda: lives_in(s) == "main", what="the new generation")
        assert len(said(s)) == 1


def test_a_reload_that_fails_in_both_tells_of_main_and_the_old_workers_serve(folder):
    with server(folder, "", allow={"Traceback"}) as s:
        before = s.workers()
        (folder / "tried_app.py").write_text(HEAD + "raise ValueError('in ' + ('sub' if SUB else 'main'))" + ASGI)
        s.signal(signal.SIGHUP)
        s.wait_log("reload failed: old workers keep serving")
        assert "ValueError: in main" in s.log() and "in sub" not in s.log()
        assert lives_in(s) == "sub" and s.workers() == before


def test_a_worker_killed_while_it_boots_says_nothing_of_one_that_serves(folder):
    """An operator's signal, or a lack of memory, that meets a replacement."""
    code = "if os.path.exists(os.path.join(HERE, 'wait')):\n    note('waiting %d' % os.getpid())\n    time.sleep(1000)"
    with server(folder, code, config={"server": {"workers": 1}}) as s:
        (folder / "wait").touch()
        os.kill(s.workers()[0], signal.SIGKILL)
        wait_for(lambda: (folder / "notes").exists() and "waiting" in (folder / "notes").read_text(), what="the next one")
        (folder / "wait").unlink()
        os.kill(int((folder / "notes").read_text().split()[1]), signal.SIGKILL)
        s.wait_log(r"is ready.*was killed.*before it was ready.*is ready")
        assert lives_in(s) == "sub" and said(s) == []


# --- what is remembered ---

def test_it_is_remembered_across_reloads_and_restarts(folder):
    code = "note('loaded in ' + ('sub' if SUB else 'main'))\nimport picky"
    env = {"XDG_STATE_HOME": str(folder)}
    with server(folder, code, env=env) as s:
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 2 serves")
        assert lives_in(s) == "main"
    assert (folder / "notes").read_text().count("loaded in sub") == 1
    kept, = (folder / "tine").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    with server(folder, code, env=env) as s:
        assert lives_in(s) == "main"
        line, = said(s)
        assert line == ("the application lives in the main interpreter, because it did not work in a sub-interpreter before "
                        "(picky: ImportError: picky says no)")
    assert (folder / "notes").read_text().count("loaded in sub") == 1
    with server(folder, code.replace("import picky", ""), env=env, config={"app": {"interpreter": "sub"}}) as s:
        assert lives_in(s) == "sub", "what is configured comes first"


def venv_of(folder, name):
    subprocess.run([own_python(), "-m", "venv", "--without-pip", folder / name], check=True, timeout=120)
    return folder / name


@pytest.mark.parametrize("change", ["package", "damaged", *rest("other environment", "other application", "of another version")])
def test_a_changed_environment_asks_again(folder, change):
    code, env, app = "import picky", {"XDG_STATE_HOME": str(folder), "VIRTUAL_ENV": ""}, {"venv": venv_of(folder, "one")}
    with server(folder, code, env=env, config={"app": app}) as s:
        assert lives_in(s) == "main"
    kept, = (folder / "tine").iterdir()
    if change == "package":
        (next((folder / "one").glob("lib/python3*/site-packages")) / "new_package").mkdir()
    elif change == "other environment":
        app["venv"] = venv_of(folder, "two")
    elif change == "other application":
        (folder / "other.py").write_text("application = 'none'")
        app["pythonpath"] = [folder, folder / "one"]
    elif change == "damaged":
        kept.write_bytes(kept.read_bytes()[:30])
    else:
        kept.write_text(kept.read_text().replace("tine ", "tine 9", 1))
    with server(folder, "", env=env, config={"app": app}) as s:
        assert lives_in(s) == "sub" and said(s) == []


@pytest.mark.parametrize("place", ["another user's", "full", *rest("none", "a link")])
def test_without_a_folder_it_is_remembered_in_memory(folder, place):
    """Nothing is written where another user may have led us, and a disk that takes nothing changes nothing."""
    state, env = folder / "state", {"HOME": "/nonexistent", "XDG_STATE_HOME": str(folder / "state")}
    state.mkdir()
    if place == "none":
        state.rmdir()
    elif place == "another user's":
        if os.geteuid() != 0:
            pytest.skip("needs root to be somebody else")
        os.chown(state, 65534, 65534)
    elif place == "a link":
        (folder / "elsewhere").mkdir()
        (state / "tine").symlink_to(folder / "elsewhere")
    else:
        state = Path("/dev/full")
        env["XDG_STATE_HOME"] = "/dev/full"
    code = "note('loaded in ' + ('sub' if SUB else 'main'))\nimport picky"
    with server(folder, code, env=env) as s:
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 2 serves")
        assert lives_in(s) == "main"
    assert (folder / "notes").read_text().count("loaded in sub") == 1
    assert not list((folder / "elsewhere").iterdir()) if place == "a link" else not list(folder.glob("**/interpreter-*"))


# --- crashes, and refusals at a request ---

@pytest.mark.parametrize("signo", ["SIGSEGV", *rest("SIGABRT", "SIGBUS")])
def test_after_a_crash_the_next_life_is_in_main(folder, signo):
    code = f"def at_request(path):\n    if SUB and path == '/crash':\n        os.kill(os.getpid(), signal.{signo})"
    with server(folder, code, config={"server": {"workers": 2}}) as s:
        assert lives_in(s) == "sub"
        with s.connect() as c:
            c.send(b"GET /crash HTTP/1.1\r\nHost: a\r\n\r\n")
            assert c.wait_closed() if hasattr(c, "wait_closed") else True
        s.wait_log(r"the application does not work in a sub-interpreter \(a worker was killed by " + signo)
        wait_for(lambda: s.log().count("is ready") == 4 and s.log().count("exited with status 0") == 1, what="both in main")
        assert {lives_in(s) for _ in range(10)} == {"main"}
        assert len(said(s)) == 1


def test_a_kill_is_no_crash(folder):
    with server(folder, "") as s:
        os.kill(s.workers()[0], signal.SIGKILL)
        wait_for(lambda: s.log().count("is ready") == 2, what="the next one")
        assert lives_in(s) == "sub" and said(s) == []


# name: (statement that is refused in a sub-interpreter, how the one line names it, the exception)
LATE = {
    "import": ("import picky", r"picky: ImportError: picky says no", "ImportError"),
    "import, swallowed": ("try:\n        import picky\n    except ImportError:\n        pass", r"picky: ImportError: picky says no", None),
    "fork": ("pid = os.fork()\n    if pid == 0:\n        os._exit(0)\n    os.waitpid(pid, 0)", r"os\.fork\(\): CPython aborts the child",
             "RuntimeError"),
    "multiprocessing": ("import multiprocessing\n    p = multiprocessing.get_context('fork').Process(target=len, args=('',))\n    p.start(); p.join()",
                        r"os\.fork\(\): CPython aborts the child", "RuntimeError"),
    "pty": ("import pty\n    pid, fd = pty.fork()\n    if pid == 0:\n        os._exit(0)\n    os.waitpid(pid, 0); os.close(fd)",
            r"os\.forkpty\(\): CPython aborts the child", "RuntimeError"),
    "preexec_fn": ("import subprocess\n    subprocess.run(['true'], preexec_fn=os.getpid)", "subprocess with preexec_fn: RuntimeError: .*",
                   "RuntimeError"),
}
if pythons and sys.version_info >= (3, 12):
    LATE["syslog"] = ("import syslog\n    syslog.openlog('a')", r"syslog\.openlog\(\): RuntimeError: .*", "RuntimeError")
PLACES = {
    "asgi": (ASGI, "def at_request(path):\n    if path != '/late':\n        return\n    {}"),
    "to_thread": (ASGI, "def late():\n    {}\ndef at_request(path):\n    return asyncio.to_thread(late) if path == '/late' else None"),
    "wsgi": (WSGI, "def at_request(path):\n    if path != '/late':\n        return\n    {}"),
    "wsgi, one thread": (WSGI, "def at_request(path):\n    if path != '/late':\n        return\n    {}"),
}


# Half of them in each kind of application, on every check; pty forks as others do.
HALVES = [(call, ("asgi", "wsgi")[number % 2]) for number, call in enumerate(LATE) if call != "pty"]


@pytest.mark.parametrize("call, place", [*HALVES, *rest(*([call, place] for place in PLACES for call in LATE if (call, place) not in HALVES))])
def test_what_is_refused_at_a_request_moves_the_application_to_main(folder, call, place):
    app, code = PLACES[place]
    statement, words, exception = LATE[call]
    config = {"server": {"workers": 2}, "app": {"threads": 1 if "one thread" in place else 4}}
    with server(folder, code.format(statement), app, config=config, allow={"Traceback"}) as s, Load(s.address, clients=2, pause=0.01) as load:
        assert lives_in(s) == "sub"
        load.more(20)
        assert s.get("/late").status == (500 if exception else 200)
        s.wait_log(rf"the application does not work in a sub-interpreter \({words}\): it moves to the main interpreter")
        wait_for(lambda: s.log().count("exited with status 0") == 2, what="the end of both that live in a sub-interpreter")
        load.more(20).stop()
        assert load.failed == {}
        assert lives_in(s) == "main" and s.get("/late").status == 200
        assert len(said(s)) == 1
        if exception:
            assert re.search(rf"^{exception}: .*\nTine: .*set \"interpreter = main\" in section \[app\]$", s.log(), re.M)


def test_a_signal_handler_of_the_loops_thread_moves_the_application(folder):
    code = "def at_request(path):\n    if path == '/late':\n        signal.signal(signal.SIGALRM, signal.SIG_IGN)"
    with server(folder, code, allow={"Traceback"}) as s:
        assert s.get("/late").status == 500
        s.wait_log(r"does not work in a sub-interpreter \(ValueError: signal only works in main thread of the main interpreter\)")
        wait_for(lambda: lives_in(s) == "main", what="the main interpreter")
        assert s.get("/late").status == 200


AT_LATE = "def at_request(path):\n    if path == '/late':\n        {}"
SIGNAL = ("signal.signal(signal.SIGALRM, signal.SIG_IGN)", "ValueError: signal only works in main thread of the main interpreter")
IMPORT = ("import picky", "ImportError: picky says no")


@pytest.mark.parametrize("when, statement, words", [("before it is accepted", *IMPORT), ("at a message", *SIGNAL),
                                                    *rest(["before it is accepted", *SIGNAL], ["at a message", *IMPORT])])
def test_what_is_refused_in_a_websocket_moves_the_application(folder, when, statement, words):
    """Its own connection fails as with any exception; others are told to come again, and requests notice nothing."""
    with server(folder, AT_LATE.format(statement), config={"server": {"workers": 2}}, allow={"Traceback"}) as s, Load(s.address) as load:
        assert lives_in(s) == "sub"
        load.more()
        with WS(s.connect()) as other, s.connect() as c:
            assert other.text("/").read_text() == "sub"
            if when == "at a message":
                WS(c).text("/late").expect_close(1011)
            else:
                c.send(handshake("/late"))
                assert c.read_response().status == 500
            s.wait_log(rf"the application does not work in a sub-interpreter \((picky: )?{words}\): it moves to the main interpreter")
            other.expect_close(1012, answer=True)
        wait_for(lambda: s.log().count("exited with status 0") == 2, what="the end of both that live in a sub-interpreter")
        load.more().stop()
        assert load.failed == {} and len(said(s)) == 1
        assert re.search(rf"^{words}\nTine: .*set \"interpreter = main\" in section \[app\]$", s.log(), re.M)
        with WS(s.connect()) as ws:
            assert ws.text("/late").read_text() == "main"


def test_what_is_refused_in_a_websocket_of_wsgi_moves_the_application(folder):
    with server(folder, AT_LATE.format(IMPORT[0]), WSGI, allow={"Traceback"}) as s, Load(s.address) as load:
        load.more()
        with s.connect() as c:
            WS(c, "/late")
            c.expect_close()
        s.wait_log(r"does not work in a sub-interpreter \(picky: ImportError: picky says no\): it moves to the main interpreter")
        wait_for(lambda: s.log().count("exited with status 0") == 1, what="the end of the one that lives in a sub-interpreter")
        load.more().stop()
        assert load.failed == {} and len(said(s)) == 1 and lives_in(s) == "main"
        assert re.search(r"^ImportError: picky says no\nTine: ", s.log(), re.M)


def test_a_signal_handler_of_another_thread_would_not_work_in_main_either(folder):
    code = "def at_request(path):\n    if path == '/late':\n        signal.signal(signal.SIGALRM, signal.SIG_IGN)"
    with server(folder, code, WSGI, allow={"Traceback"}) as s:
        assert s.get("/late").status == 500
        wait_for(lambda: "ValueError: signal only works" in s.log(), what="the traceback")
        worker, = s.workers()
        assert "Tine: " not in s.log() and not s.has_event()
        s.signal(signal.SIGTERM)
        s.wait_exit()
        assert said(s) == [] and s.workers_at_ready == [worker]


CALLED = """
import native_thread
called = []

def note_thread():
    called.append(number(interpreters.get_current()))

def at_request(path):
    if path == "/late":
        native_thread.call(note_thread)
        assert called.pop() == number(interpreters.get_main())
"""


@pytest.mark.parametrize("app", [ASGI, *rest(WSGI)], ids=["asgi", "wsgi"])
def test_native_threads_that_run_python_move_the_application(folder, app):
    """CPython has them do so in the main interpreter, where the application is not."""
    extension.put(folder, "native_thread")
    with server(folder, CALLED, app) as s:
        assert lives_in(s) == "sub"
        assert s.get("/late").status == 200
        s.wait_log(r"does not work in a sub-interpreter \(a thread that native code has made runs Python, which CPython does in")
        wait_for(lambda: lives_in(s) == "main", what="the main interpreter")
        assert s.get("/late").status == 200 and len(said(s)) == 1


def test_if_main_does_not_start_it_stays_where_it_is(folder):
    code = "if not SUB:\n    raise ValueError('not here')\ndef at_request(path):\n    if path == '/late':\n        os.fork()"
    with server(folder, code, allow={"Traceback"}) as s:
        assert s.get("/late").status == 500
        s.wait_log("the application does not start in the main interpreter either: it stays in sub-interpreters")
        wait_for(lambda: s.log().count("is ready") == 2, what="another one")
        assert lives_in(s) == "sub"
        assert len(said(s)) == 2 and s.log().count("ValueError: not here") == 1


# --- who tells of it ---

@pytest.mark.parametrize("code, interpreter, which, because", [
    ("", "auto", "sub", "it works there"),
    ("import picky", "auto", "main", "picky: ImportError: picky says no"),
    *rest(["", "sub", "sub", "app.interpreter"], ["", "main", "main", "app.interpreter"]),
])
def test_tinectl_says_which_interpreter_and_why(folder, code, interpreter, which, because):
    config = {"app": {"interpreter": interpreter}, "control": {"socket": folder / "ctl"}}
    with server(folder, code, config=config) as s:
        def ask(*args):
            tinectl = Path(binary()).parent / "tinectl"
            return subprocess.run([tinectl, "-s", folder / "ctl", *args], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
        status = json.loads(ask("-j", "status"))
        assert (status["interpreter"], status["interpreter_because"]) == (which, because)
        assert re.search(rf"^interpreter +{which}: {re.escape(because)}$", ask("status"), re.M)
        assert [worker["interpreter"] for worker in json.loads(ask("-j", "workers"))["workers"]] == [which]
        if hosted():
            assert status["python"] in s.log()


def check(folder, code, *args, app=ASGI, env=None):
    (folder / "tried_app.py").write_text(HEAD + code + app)
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    return subprocess.run([binary(), "-t", "--import", *args, "tried_app:app"], cwd=folder, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120)


@pytest.mark.parametrize("code, args, words", [
    ("", [], "a sub-interpreter (it works there)"),
    ("import picky", [], "the main interpreter (picky: ImportError: picky says no)"),
    *rest(["", ["-o", "app.interpreter=main"], "the main interpreter (app.interpreter)"],
          ["", ["-o", "app.preload_app=true"], "the main interpreter (app.preload_app)"]),
])
def test_a_check_with_import_starts_the_application_and_says_where(folder, code, args, words):
    """It listens nowhere: the service may be running. The lifespan has its start-up and its shutdown."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        shown = check(folder, code, "-b", bind, "-o", f"server.pidfile={folder / 'pid'}", *args)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.startswith(f"configuration OK\napplication OK: it is ready in {words}\n")
        assert (folder / "notes").read_text().splitlines()[-1:] == ["shutdown in " + ("main" if "main" in words else "sub")]
        assert not (folder / "pid").exists()


@pytest.mark.parametrize("code, args, status, words", [
    ("import nowhere_at_all", [], 4, "No module named 'nowhere_at_all'"),
    ("import picky", ["-o", "app.interpreter=sub"], 4, "ImportError: picky says no"),
    ("def at_start():\n    raise ValueError('no pool')", [], 3, "ValueError: no pool"),
    ("os._exit(9)", [], 3, "exited with status 9"),
    ("", ["-o", "server.chdir=/nonexistent"], 1, "server.chdir: /nonexistent"),
    ("", ["-o", "app.nothing=1"], 1, "nothing"),
])
def test_a_check_with_import_ends_as_the_service_would(folder, code, args, status, words):
    shown = check(folder, code, *args)
    assert shown.returncode == status and words in shown.stderr
    assert "application OK" not in shown.stdout


def test_a_check_with_import_can_be_stopped(folder):
    (folder / "tried_app.py").write_text("import time\nopen('loading', 'w').close()\ntime.sleep(1000)\n")
    process = subprocess.Popen([binary(), "-t", "--import", "tried_app:app"], cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "XDG_STATE_HOME": str(folder)})
    wait_for((folder / "loading").exists, what="the import")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 2


def test_import_is_for_a_check():
    shown = subprocess.run([binary(), "--import", "a:b"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert shown.returncode == 1 and "option --import is for -t" in shown.stderr


@pytest.mark.skipif(not hosted() or len(pythons()) < 2, reason="there is one Python only that Tine has a module for")
@pytest.mark.parametrize("failure", ["module", "module, swallowed", "lifespan, module", "signal"])
def test_each_python_tells_the_same(tmp_path, failure):
    for python in pythons():
        folder = tmp_path / Path(python).name
        folder.mkdir()
        extension.put(folder, "picky", python=python)
        with server(folder, FAILURES[failure][0], config={"app": {"python": python}}) as s:
            assert lives_in(s) == "main" and len(said(s)) == 1


THREADS = """
import threading

def at_request(path):
    started = threading.Thread(target=int)
    if path == "/threads":
        assert threading.current_thread() is threading.main_thread()
        assert (threading.current_thread().name, started.daemon) == ("MainThread", False)
"""


@pytest.mark.parametrize("interpreter", ["sub", "main"])
def test_the_loops_thread_is_the_main_one_of_each_python(folder, interpreter):
    """Threads that it starts are joined at the end then, also those that sitecustomize starts."""
    for python in pythons() if hosted() else [None]:
        app = {"interpreter": interpreter, **({"python": python} if python else {})}
        with server(folder, THREADS, config={"app": app}) as s:
            assert s.get("/threads").status == 200
