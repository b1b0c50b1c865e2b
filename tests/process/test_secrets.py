# SPDX-License-Identifier: BSD-3-Clause
"""Where the bytes of private keys are: read back from the memory of each process. The master keeps the files of the present
certificates in one mapping that is left out of core dumps, and nothing of the ones before; a worker keeps the keys that it
signs with, and no file."""

import base64
import os
import re
from pathlib import Path

import pytest

from lib import certs
from lib.server import Server
from lib.waiting import wait_for


def mappings(pid):
    """(first, last, name) of what can be read."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, _, _, _, *name = line.split(None, 5)
        first, last = (int(x, 16) for x in span.split("-"))
        if rights[0] == "r" and not "".join(name).startswith("[v"):
            yield first, last, "".join(name)


def places(pid, marks):
    """{mark's name: [(first, name) of each mapping that holds it]}"""
    found = {name: [] for name in marks}
    piece, most = 1 << 20, max(map(len, marks.values()))
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for first, last, name in mappings(pid):
            if last - first > 1 << 32:  # a sanitizer's shadow
                continue
            for at in range(first, last, piece):
                try:
                    memory.seek(at)
                    data = memory.read(min(piece + most, last - at))
                except (OSError, ValueError):
                    continue
                for mark, what in marks.items():
                    if what in data and (first, name) not in found[mark]:
                        found[mark].append((first, name))
    return found


def marks_of(cert):
    """A line of the file, and the private number as DER and as OpenSSL's arithmetic have it."""
    lines = Path(cert.key).read_text().split("\n")[1:-2]
    number = re.search(rb"\x04\x20(.{32})", base64.b64decode("".join(lines)), re.S).group(1)
    return {"text": lines[0][-40:].encode(), "number": number, "limbs": number[::-1]}


def can_look(pid):
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(next(mappings(pid))[0])
            return bool(memory.read(1))
    except OSError:
        return False


def flags_of(pid, first):
    """VmFlags of a mapping: dd is "do not dump"."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    return re.search(rf"^{first:08x}-.*?^VmFlags: (.*?)$", text, re.S | re.M).group(1).split()


def only_in_the_vault(pid, found):
    """The file's text: in one mapping, which is shared, of a file without a name, and is not dumped."""
    assert len(found) == 1 and found[0][1] == "/memfd:tine vault (deleted)", found
    flags = flags_of(pid, found[0][0])
    assert "dd" in flags and "sh" in flags


@pytest.mark.parametrize("preload", [False, True])
def test_keys_are_where_they_must_be_and_nowhere_else(tmp_path, preload):
    old, new = certs.server(), certs.server(serial=77)
    crt, key = tmp_path / "crt", tmp_path / "key"
    crt.write_bytes(old.crt.read_bytes())
    key.write_bytes(old.key.read_bytes())
    tls = {"certfile": crt, "keyfile": key}
    config = {"server": {"workers": 2}, "app": {"preload_app": preload}}
    with Server("hello", config, tls=tls) as s:
        if not can_look(s.pid):
            pytest.skip("the memory of other processes cannot be read here")
        for n in (1, 2):
            s.wait_log(rf"worker {n} \(pid \d+\) is ready")
        assert s.get("/").status == 200
        check(s, marks_of(old), {})
        mark = s.log_mark()
        crt.write_bytes(new.crt.read_bytes())
        key.write_bytes(new.key.read_bytes())
        wait_for(lambda: s.log()[mark:].count("new certificates are in use") == 2, what="both workers")
        assert s.get("/").status == 200
        check(s, marks_of(new), {f"old {name}": what for name, what in marks_of(old).items()})


def check(s, present, past):
    for pid in [s.pid, *s.molds()]:
        found = places(pid, {**present, **past})
        only_in_the_vault(pid, found.pop("text"))
        assert not any(found.values()), (pid, found)
    for pid in s.workers():
        found = places(pid, {**present, **past})
        only_in_the_vault(pid, found.pop("text"))
        assert len(found.pop("limbs")) >= 1, "what it signs with: else this test sees nothing"
        # OpenSSL's decoders do not wipe every buffer that they free.
        assert not any(where for name, where in found.items() if not name.endswith("number")), (pid, found)


def test_a_file_that_cannot_be_used_leaves_nothing(tmp_path):
    """A certificate that is taken away while its key is new: what was read by then is wiped."""
    old, new = certs.server(), certs.server(serial=78)
    for name, part in (("a.crt", old.crt), ("a.key", old.key)):
        (tmp_path / name).write_bytes(part.read_bytes())
    with Server("hello", tls={"certfile": tmp_path / "a.crt", "keyfile": tmp_path / "a.key", "ca_certs": certs.authority().crt}) as s:
        if not can_look(s.pid):
            pytest.skip("the memory of other processes cannot be read here")
        s.config["tls"]["ca_certs"] = tmp_path
        (tmp_path / "a.crt").write_bytes(new.crt.read_bytes())
        (tmp_path / "a.key").write_bytes(new.key.read_bytes() + b"#" * (1 << 20))
        s.wait_log("the files have changed and cannot be read: .*too large")
        found = places(s.pid, {"new": marks_of(new)["text"], **marks_of(old)})
        only_in_the_vault(s.pid, found.pop("text"))
        assert not any(found.values()), found
        assert s.get("/").status == 200


def test_environment_of_an_application_has_nothing_of_the_masters(tmp_path):
    """What tells a process to speak for the service is the master's alone."""
    config = {"app": {"pythonpath": tmp_path}}
    (tmp_path / "environ_app.py").write_text('''
import json
import os

async def app(scope, receive, send):
    body = json.dumps(dict(os.environ)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
''')
    env = {"WATCHDOG_USEC": "60000000", "LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
    with Server("environ_app:app", config, env=env, allow=("Traceback",)) as s:
        found = s.get("/").json()
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} & set(found)
        ours = set(os.environ) | {"TINE_TEST_EVENTS"}
        assert not [name for name in found if name.startswith("TINE_") and name not in ours]
