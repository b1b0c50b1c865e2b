# SPDX-License-Identifier: BSD-3-Clause
"""Certificates for tests, made by the openssl command in a folder that goes away with the process; never committed."""

import atexit
import functools
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path


def openssl(*args, stdin=None):
    """Runs the openssl command; AssertionError with its words when it fails."""
    done = subprocess.run(["openssl", *map(str, args)], input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0, f"openssl {' '.join(map(str, args))}: {done.stderr.decode(errors='replace')}"
    return done.stdout


@functools.cache
def folder():
    path = Path(tempfile.mkdtemp(prefix="tine-certs-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


class Cert:
    """A certificate and its key: .crt and .key are files."""

    def __init__(self, base):
        self.crt, self.key = Path(f"{base}.crt"), Path(f"{base}.key")

    def pem(self):
        return self.crt.read_text()

    def config(self, **more):
        """The section [tls] that serves it."""
        return {"certfile": str(self.crt), "keyfile": str(self.key), **more}


def new_key(path, kind):
    if kind == "rsa":
        openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
    else:
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def self_signed(base, subject, days=30, extensions=(), kind="ec"):
    cert = Cert(base)
    new_key(cert.key, kind)
    more = [word for e in extensions for word in ("-addext", e)]
    openssl("req", "-x509", "-new", "-key", cert.key, "-days", days, "-subj", subject, "-out", cert.crt, *more)
    return cert


def issued(base, authority, subject, days=30, extensions=(), kind="ec", serial=None):
    """A certificate that `authority` signed."""
    cert = Cert(base)
    new_key(cert.key, kind)
    request = openssl("req", "-new", "-utf8", "-key", cert.key, "-subj", subject)
    names = Path(f"{base}.ext")
    names.write_text("\n".join(extensions) + "\n")
    number = ["-set_serial", str(serial)] if serial else ["-CAcreateserial"]
    openssl("x509", "-req", "-CA", authority.crt, "-CAkey", authority.key, *number, "-days", days, "-extfile", names,
            "-out", cert.crt, stdin=request)
    return cert


def authority(name="Tine Test CA"):
    return _authority(name)


@functools.cache
def _authority(name):
    return self_signed(folder() / name.replace(" ", "-"), f"/CN={name}", extensions=("keyUsage=critical,keyCertSign,cRLSign",))


def server(name="localhost", kind="ec", days=30, serial=None):
    """A server's certificate for one name (and 127.0.0.1), always the same for the same arguments."""
    return _server(name, kind, days, serial)


@functools.cache
def _server(name, kind, days, serial):
    base = folder() / f"server-{name.replace('*', '_')}-{kind}-{days}-{serial}"
    return issued(base, authority(), f"/CN={name}", days, (f"subjectAltName=DNS:{name},IP:127.0.0.1",
                                                           "extendedKeyUsage=serverAuth"), kind, serial)


def client(subject="/O=Tine/CN=alice", by="Tine Test CA"):
    return _client(subject, by)


@functools.cache
def _client(subject, by):
    base = folder() / f"client-{abs(hash((subject, by)))}"
    return issued(base, authority(by), subject, extensions=("extendedKeyUsage=clientAuth",))


def context(*, cert=None, alpn=("http/1.1",), ca=None, least=None, most=None):
    """A client's context that trusts the test authority (or `ca`)."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(str((ca or authority()).crt))
    if cert:
        c.load_cert_chain(str(cert.crt), str(cert.key))
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if least:
        c.minimum_version = least
    if most:
        c.maximum_version = most
    return c
