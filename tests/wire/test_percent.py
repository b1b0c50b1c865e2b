# SPDX-License-Identifier: BSD-3-Clause
"""Paths with escapes of every kind, made at random and always the same: what applications are told is what urllib makes of
the path, and the path comes back from it."""

import random
from urllib.parse import quote_from_bytes, unquote_to_bytes

PIECES = ["/", "a", "%2F", "%25", "%2e", ".", "%00", "%ff", "%C3%A4", "%c3", "%E2%82%AC", "%ED%A0%80", "%F0%9F%90%8D", "%7F", "+", "%2B",
          "%20", "~", "%7e", ";", "%3B", "%3F", "%23", ":", "@", "%0D%0A", "%5C", "%22", "%f4%90%80%80", "%c0%af"]


def paths(seed, n):
    rng = random.Random(seed)
    for _ in range(n):
        path = "".join(rng.choices(PIECES, k=rng.choice([1, 2, 5, 20, 300])))
        if rng.random() < 0.3:
            path = "".join("%%%02x" % rng.randrange(256) for _ in range(rng.randrange(1, 40)))
        yield "/" + path


def test_asgi_is_told_the_decoded_path(serve):
    with serve("scope").connect() as c:
        for path in paths("asgi", 300):
            scope = c.request("GET", path).json()
            assert scope["raw_path"] == path
            assert scope["path"] == unquote_to_bytes(path).decode("utf-8", "replace"), path


def test_wsgi_is_told_the_decoded_path(serve):
    with serve("apps.wsgi_cases:app").connect() as c:
        for path in paths("wsgi", 300):
            env = c.request("GET", "/environ" + path).json()
            decoded = env["PATH_INFO"].encode("latin-1")
            assert env["RAW_URI"] == "/environ" + path and decoded == unquote_to_bytes("/environ" + path)
            assert unquote_to_bytes(quote_from_bytes(decoded)) == decoded
