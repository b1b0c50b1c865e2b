# SPDX-License-Identifier: BSD-3-Clause
"""What the soak does to the server while it serves. Each waits until the server has come through it."""

import os
import signal
import time

from lib.waiting import wait_for


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def hup(site, ledger, rng):
    site.reload()


def ctl_reload(site, ledger, rng):
    site.ctl("reload")


def broken_reload(site, ledger, rng):
    """Refused with its reason; the old generation goes on."""
    before = site.generation()
    (site.server.dir / "broken").touch()
    try:
        mark = site.errors.mark()
        said = site.ctl("reload", status=1)
    finally:
        (site.server.dir / "broken").unlink()
    assert "soak: broken on purpose" in said, "\n".join([said, *site.errors.since(mark)])
    assert site.generation() == before


def broken_configuration(site, ledger, rng):
    mark = site.errors.mark()
    text = (site.server.dir / "tine.ini").read_text()
    (site.server.dir / "tine.ini").write_text(text + "\n[http]\nkeepalive = soon\n")
    try:
        site.server.signal(signal.SIGHUP)
        site.errors.wait("reload failed", mark, site.patience)
    finally:
        (site.server.dir / "tine.ini").write_text(text)


def reload_storm(site, ledger, rng):
    for _ in range(10):
        site.server.signal(signal.SIGHUP)
        time.sleep(0.1 * rng.random())
    site.ctl("reload")


def kill(site, ledger, rng):
    pid = rng.choice(site.ready())
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: gone(pid), site.patience, "the killed worker to end")
    ledger.death(pid, began, time.monotonic())


def stop_worker(site, ledger, rng):
    """The watchdog sees it and kills it; one that was about to leave just then is killed when its time is over."""
    pid = rng.choice(site.ready())
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: gone(pid), site.patience, "the stopped worker to end")
    finally:
        ledger.death(pid, began, time.monotonic())


def scale(site, ledger, rng):
    site.ctl("scale", "3")
    site.wait_workers(3)
    site.server.signal(signal.SIGTTOU)
    site.wait_workers(2)


def memory(site, ledger, rng):
    """One worker takes more than it may and is replaced; only where sizes mean something."""
    if site.sanitized:
        return
    with site.connect() as c:
        r = c.request("GET", "/hog?mb=300&id=x")
        pid = int(r.get("x-pid"))
    wait_for(lambda: gone(pid), site.patience, f"the worker {pid} with too much memory to be replaced")


def rotate(site, ledger, rng):
    site.rotate()


def log_level(site, ledger, rng):
    before = site.server.config["log"].get("loglevel", "info")
    site.configure({"log": {"loglevel": "debug" if before == "info" else "info"}})
    site.reload()


def ask(site, ledger, rng):
    """Everything that tinectl can ask."""
    for words in (["status"], ["-j", "status"], ["workers"], ["config"], ["metrics"], ["stacks"], ["top"]):
        assert site.ctl(*words)


ALL = [hup, ctl_reload, broken_reload, broken_configuration, reload_storm, kill, kill, stop_worker, scale, memory, rotate,
       log_level, ask]
