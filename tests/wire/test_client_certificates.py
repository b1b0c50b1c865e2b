# SPDX-License-Identifier: BSD-3-Clause
"""Client certificates in the environ of WSGI applications, by the names of Apache's mod_ssl
(https://httpd.apache.org/docs/2.4/mod/mod_ssl.html), and keys with a password (tls.key_password)."""

import re
import subprocess

import pytest

from lib import certs
from lib.build import binary
from lib.server import Server


@pytest.fixture(scope="module")
def server():
    with Server("apps.wsgi_cases:app", {"app": {"threads": 2}}, tls={"ca_certs": str(certs.authority().crt), "cert_reqs": "optional"},
                allow=["Traceback"]) as s:
        yield s


def environ_of(server, cert=None, headers=(), alpn=("http/1.1",)):
    with server.connect(context=certs.context(cert=cert, alpn=alpn)) as c:
        first = c.request("GET", "/environ", headers).json()
        assert ssl_of(c.request("GET", "/environ").json()) == ssl_of(first), "it is the same for all requests of a connection"
        return first


def ssl_of(environ):
    return {k: v for k, v in environ.items() if k.startswith("SSL_")}


def test_a_certificate(server):
    cert = certs.client("/O=Tine/OU=Tests/CN=alice \u00e9/emailAddress=alice@example.org")
    e = environ_of(server, cert)
    text = subprocess.run(["openssl", "x509", "-in", cert.crt, "-noout", "-serial", "-dates"], capture_output=True, text=True).stdout
    said = dict(line.split("=", 1) for line in text.splitlines())
    assert e["SSL_PROTOCOL"] == "TLSv1.3" and e["SSL_CIPHER"].startswith("TLS_")
    assert e["SSL_CLIENT_VERIFY"] == "SUCCESS" and e["SSL_CLIENT_M_SERIAL"] == said["serial"]
    assert (e["SSL_CLIENT_V_START"], e["SSL_CLIENT_V_END"]) == (said["notBefore"], said["notAfter"])
    dn = e["SSL_CLIENT_S_DN"].encode("latin-1").decode()
    assert dn == "emailAddress=alice@example.org,CN=alice \u00e9,OU=Tests,O=Tine"
    assert e["SSL_CLIENT_S_DN_CN"].encode("latin-1").decode() == "alice \u00e9" and e["SSL_CLIENT_S_DN_O"] == "Tine"
    assert e["SSL_CLIENT_S_DN_OU"] == "Tests" and e["SSL_CLIENT_S_DN_Email"] == "alice@example.org"
    assert e["SSL_CLIENT_I_DN"] == "CN=Tine Test CA" and e["SSL_CLIENT_I_DN_CN"] == "Tine Test CA"
    assert e["SSL_CLIENT_CERT"].split() == cert.pem().split()


def test_alternative_names(server):
    base = certs.folder() / "client-san"
    cert = certs.issued(base, certs.authority(), "/CN=robot", extensions=("subjectAltName=email:r@example.org,DNS:a.example,DNS:b.example",))
    e = environ_of(server, cert)
    assert e["SSL_CLIENT_SAN_Email_0"] == "r@example.org"
    assert [e[f"SSL_CLIENT_SAN_DNS_{i}"] for i in (0, 1)] == ["a.example", "b.example"] and "SSL_CLIENT_SAN_DNS_2" not in e


def test_no_certificate(server):
    e = environ_of(server, headers=["SSL_CLIENT_VERIFY: SUCCESS", "Ssl-Client-Verify: SUCCESS"])
    assert {k for k in e if k.startswith("SSL_")} == {"SSL_PROTOCOL", "SSL_CIPHER", "SSL_CLIENT_VERIFY"}
    assert e["SSL_CLIENT_VERIFY"] == "NONE" and e["HTTP_SSL_CLIENT_VERIFY"] == "SUCCESS"


def test_a_name_that_lies(server):
    """A control character in a name: no part of it can be taken for the whole."""
    base = certs.folder() / "client-lies"
    cert = certs.issued(base, certs.authority(), "/O=Tine/CN=admin\n.evil.example")
    e = environ_of(server, cert)
    assert e["SSL_CLIENT_VERIFY"] == "SUCCESS" and "SSL_CLIENT_S_DN_CN" not in e and "\n" not in e["SSL_CLIENT_S_DN"]


def test_http2(server):
    h2 = pytest.importorskip("lib.h2")
    with h2.H2(server.connect(context=certs.context(cert=certs.client(), alpn=("h2",)))) as h:
        import json
        e = json.loads(h.answer(h.request("GET", "/environ", scheme="https")).body)
        assert e["SSL_CLIENT_VERIFY"] == "SUCCESS" and e["SSL_CLIENT_S_DN"] == "CN=alice,O=Tine"


def test_nothing_where_none_is_asked_for():
    with Server("apps.wsgi_cases:app", tls=True, allow=["Traceback"]) as s:
        assert not ssl_of(s.get("/environ").json())


# --- keys with a password ---

@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """The server's key behind a password, as PKCS #8 and in the older form, and as one of sni_dir."""
    path = tmp_path_factory.mktemp("locked")
    cert = certs.server()
    certs.openssl("pkcs8", "-topk8", "-in", cert.key, "-out", path / "new.key", "-passout", "pass:open sesame")
    certs.openssl("ec", "-aes256", "-in", cert.key, "-out", path / "old.key", "-passout", "pass:open sesame")
    (path / "password").write_text("open sesame\r\nnot this\n")
    (path / "sni").mkdir()
    (path / "sni" / "localhost.crt").write_bytes(cert.crt.read_bytes())
    (path / "sni" / "localhost.key").write_bytes((path / "new.key").read_bytes())
    return path


def test_password_from_a_file(locked):
    for key in ("new.key", "old.key"):
        tls = {"keyfile": str(locked / key), "key_password": f"file:{locked / 'password'}", "sni_dir": str(locked / "sni")}
        with Server("builtin:hello", tls=tls) as s:
            assert s.get("/").status == 200


def test_password_from_the_environment(locked):
    """The application does not get the variable."""
    code = "import os\ndef app(environ, start):\n    start('200 OK', [])\n    return [os.environ.get('TINE_TEST_KEY', 'none').encode()]\n"
    (locked / "shows.py").write_text(code)
    tls = {"keyfile": str(locked / "new.key"), "key_password": "env:TINE_TEST_KEY"}
    with Server("shows:app", {"app": {"pythonpath": str(locked)}}, tls=tls, env={"TINE_TEST_KEY": "open sesame"}) as s:
        assert s.get("/").body == b"none"


@pytest.mark.parametrize("password,words", [
    (None, "no private key in PEM that needs no password"), ("env:TINE_NONE", "there is no such variable"),
    ("file:/none", "No such file"), ("file:@wrong", "no private key in PEM that tls.key_password opens"), ("secret", "expected file:PATH or env:NAME")])
def test_what_is_wrong_is_said(locked, password, words):
    (locked / "wrong").write_text("guess\n")
    password = password and password.replace("@", f"{locked}/")
    args = [] if password is None else ["-o", f"tls.key_password={password}"]
    done = subprocess.run([binary(), "-b", "127.0.0.1:0 tls", "-o", f"tls.certfile={certs.server().crt}", "-o", f"tls.keyfile={locked / 'new.key'}",
                           *args, "builtin:hello"], cwd=locked, capture_output=True, text=True, timeout=60)
    assert done.returncode and words in done.stderr, done.stderr
    assert not re.search("guess|sesame", done.stderr)
