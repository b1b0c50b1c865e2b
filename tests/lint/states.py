#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests that a state is assigned only by its setter: a function whose name ends in set_state, set_stage or set_phase.

Reads text only: an assignment to a member called state, stage or phase, inside a function that is no setter, is a fault unless EXCUSED
names the function. What an initialiser gives a new object is no step. EXCUSED may only shrink: a line that no longer applies is a
fault, too; `states.py --shrink` removes such lines.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Members of these names that are no enumeration, or the state of a loop over bytes that lives no longer than the loop.
NO_STATES = {
    ("worker/asgi/asgi_lifespan.c", "asgi->state"): "the dictionary that the application fills",
    ("worker/python/interp.c", "interp->state"): "CPython's interpreter state",
    ("worker/http1/h1_guard.c", "s->state"): "a byte machine: each case of its switch is a step",
    ("worker/http1/h1_guard.c", "scan->state"): "the same, at the start of the trailer",
    ("worker/http1/h1_body.c", "b->state"): "a byte machine",
}

# (file, function) where a state is still assigned directly.
EXCUSED = {
    ("master/dev_reload.c", "give_up_start"),
    ("master/fleet/mold.c", "end"),
    ("master/fleet/mold.c", "follow"),
    ("master/fleet/mold.c", "on_ready"),
    ("master/fleet/mold.c", "start"),
    ("master/master.c", "begin_leave"),
    ("master/master.c", "begin_stop"),
    ("master/master.c", "master_run"),
    ("master/master.c", "master_worker_ready"),
    ("master/reload.c", "begin"),
    ("master/reload.c", "reload_hurry"),
    ("master/reload.c", "tell_end"),
    ("master/upgrade.c", "on_new_ready"),
    ("master/upgrade.c", "on_old_gone"),
    ("master/upgrade.c", "take_channel"),
    ("master/upgrade.c", "upgrade_child_gone"),
    ("master/upgrade.c", "upgrade_request"),
    ("worker/app/mount.c", "mounts_free"),
    ("worker/asgi/asgi_ext.c", "asgi_ext_trailers"),
    ("worker/asgi/asgi_ext.c", "send_file"),
    ("worker/asgi/asgi_http.c", "send_bytes"),
    ("worker/asgi/asgi_http.c", "send_start"),
    ("worker/asgi/asgi_lifespan.c", "asgi_lifespan_stop"),
    ("worker/asgi/asgi_lifespan.c", "lifespan_receive"),
    ("worker/asgi/asgi_lifespan.c", "lifespan_send"),
    ("worker/asgi/asgi_lifespan.c", "on_app_done"),
    ("worker/asgi/asgi_lifespan.c", "startup_failed"),
    ("worker/asgi/asgi_lifespan.c", "stopped"),
    ("worker/asgi/asgi_ws.c", "on_app_done"),
    ("worker/asgi/asgi_ws_send.c", "send_accept"),
    ("worker/asgi/asgi_ws_send.c", "send_close"),
    ("worker/asgi/asgi_ws_send.c", "send_denial_body"),
    ("worker/asgi/asgi_ws_send.c", "send_denial_start"),
    ("worker/coding/compress_run.c", "compress_run"),
    ("worker/coding/compress_stream.c", "begin_coded"),
    ("worker/http/admission.c", "dequeue"),
    ("worker/http/admission.c", "enqueue"),
    ("worker/http1/h1_conn.c", "drain"),
    ("worker/http1/h1_conn.c", "h1_close"),
    ("worker/http1/h1_conn.c", "next"),
    ("worker/http1/h1_head.c", "becomes_http2"),
    ("worker/http1/h1_head.c", "h1_take_head"),
    ("worker/http1/h1_head.c", "start_body"),
    ("worker/http1/h1_head.c", "wait_for_head"),
    ("worker/http1/h1_in.c", "h1_take_body"),
    ("worker/http1/h1_out.c", "h1_abandon"),
    ("worker/http1/h1_out.c", "h1_cut"),
    ("worker/http1/h1_upgrade.c", "leave"),
    ("worker/http2/h2_conn.c", "close_now"),
    ("worker/http2/h2_conn.c", "leave"),
    ("worker/http2/h2_conn.c", "say_last"),
    ("worker/net/accept.c", "acceptor_new"),
    ("worker/net/conn.c", "conn_close"),
    ("worker/net/conn.c", "conn_die"),
    ("worker/net/conn.c", "conn_flushed"),
    ("worker/python/task.c", "set_job"),
    ("worker/python/task_drive.c", "drive"),
    ("worker/python/task_drive.c", "drive_throw"),
    ("worker/python/task_drive.c", "proxy_close_method"),
    ("worker/python/task_drive.c", "proxy_end"),
    ("worker/python/task_drive.c", "settle"),
    ("worker/python/task_drive.c", "take_value"),
    ("worker/python/task_lazy.c", "end_in_first_step"),
    ("worker/python/task_lazy.c", "step_proxy"),
    ("worker/python/task_lazy.c", "suspend"),
    ("worker/python/task_proxy.c", "proxy_new"),
    ("worker/tls/tls_bio.c", "tls_push"),
    ("worker/tls/tls_conn.c", "tls_judge"),
    ("worker/tls/tls_hello.c", "finish"),
    ("worker/tls/tls_hello.c", "start"),
    ("worker/ws/ws_lws.c", "adopt"),
    ("worker/ws/ws_lws_wsi.c", "on_closing"),
    ("worker/ws/ws_lws_wsi.c", "on_established"),
    ("worker/ws/ws_lws_wsi.c", "on_gone"),
    ("worker/ws/ws_session.c", "begin_close"),
    ("worker/ws/ws_session.c", "finish"),
    ("worker/wsgi/wsgi.c", "on_over"),
    ("worker/wsgi/wsgi.c", "run_inline"),
    ("worker/wsgi/wsgi.c", "start"),
    ("worker/wsgi/wsgi.c", "take_turn"),
}

ASSIGNMENT = re.compile(r"([A-Za-z_][\w.>\[\]-]*(?:->|\.)(?:state|stage|phase))\s*=(?!=)")
FUNCTION = re.compile(r"^[A-Za-z_][\w *]*?\b(\w+)\((?!.*;$)")
SETTER = re.compile(r"(?:^|_)set_(?:state|stage|phase)$")
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def plain(text):
    """Without comments and strings, lines kept."""
    return COMMENT_OR_STRING.sub(lambda m: "\n" * m[0].count("\n"), text)


def assignments(text):
    """(line, function, what is assigned) of each assignment to a state."""
    function, open_block = "", False
    for number, line in enumerate(plain(text).split("\n"), 1):
        if not open_block and (match := FUNCTION.match(line)):
            function = match[1]
        if line.startswith("{"):
            open_block = True
        elif line.startswith("}"):
            open_block = False
        for match in ASSIGNMENT.finditer(line):
            yield number, function, match[1]


def shrink(stale):
    """Removes these lines of EXCUSED from this file."""
    here = Path(__file__)
    gone = {f'    ("{name}", "{function}"),' for name, function in stale}
    here.write_text("".join(line for line in here.read_text().splitlines(keepends=True) if line.rstrip("\n") not in gone))


def main():
    stale, faults, passed = set(EXCUSED), [], 0
    for top in ("common", "conf", "master", "worker"):
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            name, bad = path.relative_to(ROOT).as_posix(), False
            for line, function, what in assignments(path.read_text()):
                if SETTER.search(function) or (name, what) in NO_STATES:
                    continue
                if (name, function) in EXCUSED:
                    stale.discard((name, function))
                    continue
                faults.append(f"{name}:{line}: {function}() assigns {what}: that is for its setter (set_state)")
                bad = True
            passed += not bad
    if "--shrink" in sys.argv[1:]:
        shrink(stale)
        stale = set()
    faults += [f"{name}: {function}() assigns no state any more: remove it from EXCUSED" for name, function in sorted(stale)]
    for fault in faults:
        print(fault)
    print(f"{passed} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
