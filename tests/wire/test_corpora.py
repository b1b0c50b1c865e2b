"""Two corpora of tricky requests: nothing that must be refused is accepted, sent whole, cut in two, or byte by byte.

A case is refused when no answer below 400 comes before the connection ends. Each case is ended by a half-close, so
that no time-out has to be waited for: EOF inside a head or body is the refusal of an incomplete request.
"""

import base64
import json
from pathlib import Path

import pytest

from harness import Malformed, Truncated

CORPORA = Path(__file__).parent / "corpora"


# Refused only with the limits that the corpus's own server had: they are judged with these.
LIMITS = {"invalid/006": {"limit_request_line": 4094}, "invalid/010": {"limit_request_fields": 1},
          "invalid/011": {"limit_request_fields": 1}, "invalid/012": {"limit_request_fields": 1}}

# Legal, and refused on purpose, as the RFC allows.
STRICTER = {"ver-1.2": "RFC 9110 2.5: 505 for a minor version that is not known",
            "ck-size-zeros": "RFC 9112 7.1: the number of digits of a chunk size is bounded",
            "valid/005": "RFC 9112 3.2: a target has no fragment", "valid/009": "RFC 9112 3.2: a target has no fragment",
            "valid/025": "RFC 9112 6.1: one coding, chunked", "valid/029": "RFC 9112 6.1: one coding, chunked",
            "valid/030": "RFC 9112 6.1: one coding, chunked", "valid/027": "RFC 3986 2: a byte that no URI can have",
            "valid/040": "the same bytes as invalid/040: Transfer_Encoding looks like a framing field",
            "valid/099": "the body is shorter than its length", "valid/rfc9112_target_absolute_userinfo_01":
            "RFC 9110 4.2.4: user information is an error"}


def cases(name):
    """(id, bytes, verdict); settings that only the corpus's own server has leave the verdict open."""
    for case in json.loads((CORPORA / f"{name}.json").read_text())["cases"]:
        verdict = case.get("rfc") or case["expect"]
        if case["id"] in LIMITS or case["id"] in STRICTER:
            verdict = "may"
        if verdict == "accept" and "needs_cfg" in case.get("tags", ()):
            verdict = "may"
        yield case["id"], base64.b64decode(case["raw"]), verdict


def answers(conn):
    """Statuses of the final answers up to the end of the connection."""
    found = []
    while True:
        if not conn.buffer and not conn._fill(None):
            return found
        try:
            found.append(conn.read_response().status)
        except (Truncated, Malformed) as e:
            raise AssertionError(f"after {found}: {e}") from None
        if found[-1] == 101:  # frames follow
            return found


def send_whole(conn, raw):
    conn.send(raw)


def send_in_two(conn, raw):
    conn.send(raw[:len(raw) // 2])
    conn.is_open()
    conn.send(raw[len(raw) // 2:])


def send_bytes(conn, raw):
    for at in range(len(raw)):
        conn.send(raw[at:at + 1])


def judge(server, send, raw):
    with server.connect() as c:
        try:
            send(c, raw)
            c.half_close()
        except OSError:
            pass
        return answers(c)


@pytest.mark.parametrize("send", [send_whole, send_in_two, send_bytes])
@pytest.mark.parametrize("name", ["http1_tricky", "gunicorn_requests"])
def test_zero_lenient(serve, name, send):
    server = serve("bodies_or_nothing", {"http": {"header_timeout": "60s"}})
    lenient, refused = [], []
    for case, raw, want in cases(name):
        if send is send_bytes and len(raw) > 20000:
            continue
        found = judge(server, send, raw)
        if want == "reject" and any(status < 400 for status in found):
            lenient.append((case, found))
        if want == "accept" and (not found or found[0] >= 400 and found[0] not in (404, 405, 501)):
            refused.append((case, found))
    assert not lenient, f"{len(lenient)} lenient: {lenient}"
    assert not refused, f"{len(refused)} refused: {refused}"
    assert server.get("/").status == 200


@pytest.mark.parametrize("case", LIMITS)
def test_refused_by_limits(serve, case):
    server = serve("bodies_or_nothing", {"http": dict(LIMITS[case], header_timeout="60s")})
    raw = next(raw for found, raw, _ in cases("gunicorn_requests") if found == case)
    assert judge(server, send_whole, raw)[:1] in ([414], [431])


def test_split_and_whole_agree(serve):
    """The answers do not depend on how the bytes were cut."""
    server = serve("bodies_or_nothing", {"http": {"header_timeout": "60s"}})
    different = []
    for case, raw, _ in cases("http1_tricky"):
        whole, halves = judge(server, send_whole, raw), judge(server, send_in_two, raw)
        if whole != halves:
            different.append((case, whole, halves))
    assert not different
