# SPDX-License-Identifier: BSD-3-Clause
"""What real.py has measured, one line a row: Tine beside uvicorn, beside the best peer and beside no server at all."""
ALONE = "framework only"
TINE_ALSO = "tine, other settings"
NOT_PEERS = ("tine", "tine before", TINE_ALSO, ALONE)


def quotient(a, b):
    return a / b if a is not None and b else None


def of_row(by_server):
    """CPU µs and quotients of them; `share` is what the server adds; req/s to those of the peer that has most. None: not measured."""
    cpu = {name: m["cpu_us"] for name, m in by_server.items() if m}
    if "tine" not in cpu:
        return None
    peers = [name for name in cpu if name not in NOT_PEERS]
    best = min(peers, key=cpu.get, default=None)
    rps = [by_server[name].get("rps") for name in peers]
    return {
        "tine": cpu["tine"], "uvicorn": quotient(cpu["tine"], cpu.get("uvicorn")), "best": best, "to_best": quotient(cpu["tine"], cpu.get(best)),
        "alone": cpu.get(ALONE), "share": cpu["tine"] - cpu[ALONE] if ALONE in cpu else None,
        "rps": quotient(by_server["tine"].get("rps"), max(filter(None, rps), default=None)),
    }


def cell(value, form):
    return form % value if value is not None else "-"


def show(results):
    print("%-24s %9s %9s %9s %-18s %9s %9s %9s"
          % ("application", "tine µs", "/ uvicorn", "/ best", "best peer", "alone µs", "share µs", "req/s"))
    for name, by_server in results.items():
        if s := of_row(by_server):
            print("%-24s %9.1f %9s %9s %-18s %9s %9s %9s"
                  % (name, s["tine"], cell(s["uvicorn"], "%.2f"), cell(s["to_best"], "%.2f"), s["best"] or "-", cell(s["alone"], "%.1f"),
                     cell(s["share"], "%.1f"), cell(s["rps"], "%.2f")))
