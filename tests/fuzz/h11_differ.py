#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Feeds requests, sound and mutated, to Tine's reader of HTTP/1 (h1_read) and to python-h11, and compares.

What Tine accepts, h11 must accept too, with the same method, target, version, fields, body and the same place where the
next request begins. What only Tine refuses must be refused for a reason that STRICTER lists. The cases come from both
corpora; the same seed makes the same cases.
"""

import argparse
import base64
import json
import random
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import h11

CORPORA = Path(__file__).resolve().parent.parent / "wire" / "corpora"
BATCH = 1000
HUGE = 1 << 24

# Lines and pieces: sound ones first, then what makes readers disagree.
LINES = [b"Connection: close", b"Connection: keep-alive", b"Connection: close, keep-alive", b"Connection: Close",
         b"Connection: x, close", b"Connection: closed", b"Expect: 100-continue", b"Upgrade: websocket", b"TE: trailers",
         b"X: y", b"X:", b"X:\ty\t", b"X: \xff", b"Cookie: a=b; c=d", b"X-Length: 5", b"Transfer: chunked", b"x-a_b: c:d\"e"]
N_SOUND_LINES = len(LINES)
LINES += [b"Host: a", b"Host: b", b"Host:", b"Host : a", b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: +5",
          b"Content-Length: 5, 5", b"Content-Length: 05", b"Content-Length: 0x5", b"Content-Length: 5 5", b"Content-Length:",
          b"Content-Length: 99999999999999999999", b"Content_Length: 5", b"Content-Length\t: 5", b"Transfer-Encoding: chunked",
          b"Transfer-Encoding: Chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked",
          b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding:", b"Transfer-Encoding: \"chunked\"",
          b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked\x00", b"Expect: more",
          b"Content-Type: a/b", b"X: a\x01b", b"X: a\x7fb", b" folded", b"\tfolded", b": x", b"X", b"X y: z", b"X(): z"]
STARTS = [b"GET / HTTP/1.1", b"POST /a?b=c HTTP/1.1", b"HEAD / HTTP/1.0", b"OPTIONS * HTTP/1.1", b"GET http://a/b HTTP/1.1",
          b"PUT /%41%5a HTTP/1.1", b"PROPFIND /x HTTP/1.1", b"GET //a HTTP/1.1"]
N_SOUND_STARTS = len(STARTS)
STARTS += [b"GET  / HTTP/1.1", b"get / HTTP/1.1", b"GET / HTTP/1.2", b"GET / HTTP/2.0", b"GET /", b"CONNECT a:1 HTTP/1.1",
           b"PATCH /\xc3\xa4 HTTP/1.1", b"DELETE /#a HTTP/1.1", b"GET /\t HTTP/1.1", b"FOO / HTTP/1.1", b"GET / HTTP/1.1 ",
           b"GET / http/1.1", b"GET a HTTP/1.1", b"PUT /%zz HTTP/1.1"]
BODIES = [b"", b"hello", b"hello, world"]
N_PLAIN = len(BODIES)
BODIES += [b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"05\r\nhello\r\n00\r\n\r\n",
           b"A;b=\"c;d\"\r\n0123456789\r\n1\r\n.\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"]
N_SOUND_BODIES = len(BODIES)
BODIES += [b"5 \r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
           b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5;a=\"b\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n\r\n",
           b"00000000000000005\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", b"ffffffffffffffffff\r\n",
           b"5;\r\nhello\r\n0;x\r\n\r\n", b"5\r\nhello\r\n0\r\n folded\r\n\r\n"]
MEANINGFUL = [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b";", b",", b"=", b"\"", b"0", b"\x00", b"\x0b", b"\x0c", b"\x7f", b"\xff", b"%", b"#", b"?",
              b"/", b"\r\n\r\n", b"\n\n", b"_", b"-", b"chunked", b"HTTP/1.1"]


# --- cases ---

def seeds():
    for name in ("http1_tricky.json", "gunicorn_requests.json"):
        for case in json.loads((CORPORA / name).read_text())["cases"]:
            raw = base64.b64decode(case["raw"])
            if len(raw) < 4096:
                yield raw


def built(rng):
    """A request of pieces: half of the time right, else most of it."""
    wild = rng.random() < 0.5
    chunked, counted = rng.choice([(True, False), (False, True), (False, False)])
    lines = [rng.choice(STARTS if wild else STARTS[:N_SOUND_STARTS]), b"Host: a"]
    body = rng.choice(BODIES if wild else BODIES[N_PLAIN:N_SOUND_BODIES] if chunked else BODIES[:N_SOUND_BODIES] if counted else [b""])
    if chunked and (wild or b"1.0" not in lines[0]):
        lines.append(b"Transfer-Encoding: chunked")
    elif counted:
        lines.append(b"Content-Length: %d" % len(body))
    elif not wild:
        body = b""
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(LINES if wild else LINES[:N_SOUND_LINES]))
    if wild and rng.random() < 0.1:
        lines.pop(rng.randrange(1, len(lines)))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def mutated(rng, raw):
    raw = bytearray(raw)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(raw) + 1)
        what = rng.random()
        if what < 0.3:
            raw[at:at] = rng.choice(MEANINGFUL)
        elif what < 0.5:
            raw[at:at + 1] = rng.choice(MEANINGFUL)
        elif what < 0.65:
            raw[at:at + 1] = bytes([rng.randrange(256)])
        elif what < 0.8:
            del raw[at:at + rng.choice([1, 1, 2, 8])]
        elif what < 0.9:
            end = raw.find(b"\r\n", at)
            if end >= 0:
                raw[end + 2:end + 2] = rng.choice(LINES) + b"\r\n"
        else:
            raw[at:at] = raw[rng.randrange(len(raw) + 1):][:rng.choice([1, 4, 30])]
    return bytes(raw)


def cases(seed):
    """Without end."""
    rng, known = random.Random(seed), list(seeds())
    yield from known
    while True:
        raw = built(rng) if rng.random() < 0.6 else rng.choice(known)
        if rng.random() < 0.5:
            raw = mutated(rng, raw)
        if rng.random() < 0.4:
            raw += built(rng)
        yield raw


# --- the two readers ---

class Request:
    def __init__(self, method, target, version, fields, body, start, end, keep_alive):
        # h11 lowers the value of Transfer-Encoding.
        fields = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in fields]
        self.said = (method, target, version, fields, body)
        self.version, self.start, self.end, self.keep_alive = version, start, end, keep_alive


def unhex(word):
    return b"" if word == "-" else bytes.fromhex(word)


def tine_reads(program, batch):
    """For each case its requests, and where and why reading ended."""
    sent = b"".join(struct.pack(">I", len(raw)) + raw for raw in batch)
    answer = subprocess.run([str(program)], input=sent, stdout=subprocess.PIPE, check=True).stdout.decode()
    requests = []
    for line in answer.splitlines():
        kind, *words = line.split(" ")
        if kind == "end":
            yield requests, int(words[0]), words[1]
            requests = []
            continue
        fields = [unhex(word) for word in words[7:]]
        requests.append(Request(unhex(words[4]), unhex(words[5]), words[3].encode(), list(zip(fields[::2], fields[1::2])),
                                unhex(words[6]), int(words[0]), int(words[1]), words[2] == "1"))


def h11_reads(raw, at):
    """One request at an offset; or None and why not."""
    conn = h11.Connection(our_role=h11.SERVER, max_incomplete_event_size=HUGE)
    head, body = None, []
    try:
        conn.receive_data(raw[at:])
        while True:
            event = conn.next_event()
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return None, "more"
    except h11.RemoteProtocolError as e:
        return None, str(e)
    rest = conn.trailing_data[0]
    fields = [(bytes(name), bytes(value)) for name, value in head.headers]
    # With Upgrade it does not say.
    keep_alive = None if conn.their_state is h11.MIGHT_SWITCH_PROTOCOL else conn.their_state is not h11.MUST_CLOSE
    return Request(bytes(head.method), bytes(head.target), bytes(head.http_version), fields, b"".join(body), at,
                   len(raw) - len(rest), keep_alive), None


# --- what may differ ---

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 3.4, of which h11 knows nothing


def head_of(raw):
    """With its empty line, in which h11 allows bare line feeds."""
    found = re.search(rb"\n\r?\n", raw)
    return raw[:found.end()] if found else raw


def has(raw, pattern, times=1):
    return len(re.findall(pattern, raw, re.I)) >= times


def lengths(raw):
    return len(re.findall(rb"\ncontent-length:", head_of(raw), re.I))


def bad_length(raw):
    """A list, or more than 18 digits."""
    return lengths(raw) > 1 or has(head_of(raw), rb"\ncontent-length:[ \t]*(\d+[ \t]*,|\d{19})")


def both_framings(raw):
    return lengths(raw) > 0 and has(head_of(raw), rb"\ntransfer-encoding:")


def bad_target(raw):
    return not has(raw, rb"\A(\S+ /|OPTIONS \* |\S+ https?://[a-z0-9.:[\]-]+[/? ])")


def in_line(*words):
    return lambda raw: any(word in raw.split(b"\r\n")[0] for word in words)


# Refusal of ours -> what has to be true of the bytes for it, where h11 accepts them; sections of RFC 9112 if nothing else.
STRICTER = {
    # 2.2: bare LF, bare CR; 5.2: folded lines; RFC 9110 5.5: control characters; RFC 3986 2: bytes that no URI has
    "head-malformed": lambda raw: has(head_of(raw), rb"(?<!\r)\n|\r(?!\n)|\n[ \t]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
                                                    rb"|\A[^ ]+ [^ ]*[^\x21-\x7e ]|\A[^ ]+ [^ ]*#"),
    # http-parser also takes every name that begins with Transfer-Encoding for that field
    "head-unparsed": lambda raw: bad_target(raw) or bad_length(raw) or both_framings(raw) or
    has(head_of(raw), rb"\ntransfer-encoding\S+:"),
    "version": lambda raw: not has(raw, rb"\A[^\n]* HTTP/1\.[01]\r\n"),  # RFC 9110 2.5
    "http2-preface": lambda raw: raw.startswith(b"PRI "),
    "fields-too-large": lambda raw: len(head_of(raw)) > 8000 or head_of(raw).count(b"\n") > 100,
    "request-line-too-long": lambda raw: len(raw.split(b"\n")[0]) > 8000,
    "host-invalid": lambda raw: not has(head_of(raw), rb"\nhost:[ \t]*[a-z0-9.-]+(:[0-9]{1,4})?[ \t]*\r\n"),  # 3.2
    "target-form": bad_target,  # 3.2
    "target-byte": lambda raw: has(head_of(raw), rb"\A[^ ]+ [^ ]*[^\x21-\x7e ]|\A[^ ]+ [^ ]*#"),  # RFC 3986 2
    "target-scheme": in_line(b"://"),  # RFC 9110 4.2
    "target-authority": in_line(b"://"),  # RFC 9110 4.2.1
    "target-userinfo": in_line(b"@"),  # RFC 9110 4.2.4
    "connect": lambda raw: raw.startswith(b"CONNECT "),  # RFC 9110 9.3.6
    "coding-version": in_line(b" HTTP/1.0"),  # 6.1
    "coding-with-length": both_framings,  # 6.1
    "length-repeated": bad_length,  # 6.3
    "length-invalid": bad_length,  # RFC 9110 8.6
    "type-repeated": lambda raw: has(head_of(raw), rb"\ncontent-type:", 2),  # RFC 9110 8.3
    "framing-lookalike": lambda raw: has(head_of(raw), rb"\n(content_length|transfer_encoding):"),  # RFC 3875 4.1.18
    "expectation": lambda raw: has(head_of(raw), rb"\nexpect:"),  # RFC 9110 10.1.1
    # 7.1: blanks behind a size, sizes of many digits, extensions that have not the form; 7.1.2: fields that no trailer has,
    # and the rules of "head-malformed"
    "body": lambda raw: has(raw[len(head_of(raw)):], rb"(?m)^[0-9a-f]+[ \t]|^[0-9a-f]{16}|^[0-9a-f]+;|(?<!\r)\n|\r(?!\n)"
                                                     rb"|^(content-length|transfer-encoding|host|connection|expect|te|trailer|upgrade):"
                                                     rb"|^[^\r\n:]+:.*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|^[ \t]"),
}

# What h11 says of what Tine accepts -> what has to be true of the bytes.
LOOSER = {
    "illegal chunk header": lambda raw: has(raw, rb"\n[0-9a-f]+[ \t]+;"),  # 7.1.1: blanks in front of an extension
}


class Differs(AssertionError):
    pass


def compare(raw, requests, end, why):
    """Raises Differs. Returns how many requests both accepted, and the refusal of Tine's alone, if there was one."""
    for request in requests:
        other, reason = h11_reads(raw, request.start)
        if not other and LOOSER.get(reason.split(":")[0], lambda raw: False)(raw[request.start:request.end]):
            continue
        if not other:
            raise Differs(f"Tine accepts at {request.start} what h11 does not: {reason}")
        if other.said != request.said:
            raise Differs(f"Tine says {request.said}\nh11  says {other.said}")
        if other.end != request.end:
            raise Differs(f"for Tine the next request begins at {request.end}, for h11 at {other.end}")
        if request.version == b"1.1" and other.keep_alive not in (None, request.keep_alive):
            raise Differs(f"keep-alive is {request.keep_alive} for Tine, {other.keep_alive} for h11")
    if why in ("done", "closed"):
        return len(requests), None
    other, _ = h11_reads(raw, end)
    if not other:
        return len(requests), None
    if why == "more" and PREFACE.startswith(raw[end:]):
        return len(requests), None
    if why == "more":
        raise Differs(f"Tine waits for more of a request at {end}, h11 has all of it: {other.said}")
    if why not in STRICTER or not STRICTER[why](raw[end:]):
        raise Differs(f"Tine refuses at {end} ({why}) what h11 accepts: {other.said}")
    return len(requests), why


def run(program, seed="1", count=None, seconds=None):
    """Compares so many cases, or for so long. (cases, requests accepted by both, {refusal: how often})."""
    source, done, accepted, stricter = cases(seed), 0, 0, {}
    end = time.monotonic() + seconds if seconds else None
    while (count is None or done < count) and (end is None or time.monotonic() < end):
        batch = [next(source) for _ in range(min(BATCH, count - done) if count else BATCH)]
        for raw, (requests, at, why) in zip(batch, tine_reads(program, batch), strict=True):
            try:
                both, refusal = compare(raw, requests, at, why)
            except Differs as e:
                raise Differs(f"{raw!r}:\n{e}") from None
            accepted += both
            if refusal:
                stricter[refusal] = stricter.get(refusal, 0) + 1
        done += len(batch)
    return done, accepted, stricter


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("program", type=Path, help="tests/fuzz/h1_read of a build directory")
    options.add_argument("--count", type=int, help="of cases")
    options.add_argument("--seconds", type=float)
    options.add_argument("--seed", default="1")
    arguments = options.parse_args()
    count = arguments.count or (None if arguments.seconds else 20000)
    try:
        done, accepted, stricter = run(arguments.program, arguments.seed, count, arguments.seconds)
    except Differs as e:
        print(e)
        print("0 passed, 1 failed")
        return 1
    print(f"{done} cases of seed {arguments.seed}; {accepted} requests read alike; refused by Tine alone:")
    for name, n in sorted(stricter.items(), key=lambda item: -item[1]):
        print(f"    {name}: {n}")
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
