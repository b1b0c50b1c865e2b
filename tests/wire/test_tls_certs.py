# SPDX-License-Identifier: BSD-3-Clause
"""Certificates: which one is shown, whose are asked for, how sessions go on, and how new files take the place of old ones."""

import os
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time

import pytest

from lib import certs
from lib.build import APPS
from lib.server import Server
from lib.tls import TLSConn
from lib.waiting import wait_for

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HELLO = "builtin:hello"
NO_RESPONSE = re.compile(rb"OCSP responses?: no responses? sent")  # in the plural since OpenSSL 3.6, as TLS 1.3 can have several


def shown(address, name="localhost", **options):
    """The certificate that a server shows, in PEM."""
    with TLSConn(address, name=name, **options) as c:
        return ssl.DER_cert_to_PEM_cert(c.socket.getpeercert(True))


# --- server names ---

@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sni")
    for file, name in (("one.example", "one.example"), ("_.example.org", "*.example.org"), ("Deep.Example.ORG", "deep.example.org")):
        cert = certs.server(name)
        shutil.copy(cert.crt, folder / f"{file}.crt")
        shutil.copy(cert.key, folder / f"{file}.key")
    return folder


@pytest.fixture(scope="module")
def by_name(names):
    with Server(HELLO, tls={"sni_dir": str(names)}) as server:
        yield server


@pytest.mark.parametrize("asked, name", [
    ("one.example", "one.example"), ("ONE.example", "one.example"), ("a.example.org", "*.example.org"),
    ("deep.example.org", "deep.example.org"), ("localhost", "localhost")])
def test_certificate_by_name(by_name, asked, name):
    assert shown(by_name.address, asked) == certs.server(name).pem()


@pytest.mark.parametrize("asked", ["other.example", "a.b.example.org", "example.org"])
def test_unknown_names_get_the_certfile(by_name, asked):
    context = certs.context()
    context.check_hostname = False
    assert shown(by_name.address, asked, context=context) == certs.server().pem()
    assert shown(by_name.address, None, context=context) == certs.server().pem()


def test_without_certfile_unknown_names_are_refused(names):
    with Server(HELLO, {"tls": {"certfile": "", "keyfile": "", "sni_dir": str(names)}}, tls=True) as server:
        assert shown(server.address, "one.example") == certs.server("one.example").pem()
        with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
            TLSConn(server.address, name="other.example")


# --- client certificates ---

@pytest.fixture(params=[TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
def version(request):
    return request.param


@pytest.fixture
def asking(serve):
    def start(reqs):
        return serve("scope", tls={"cert_reqs": reqs, "ca_certs": str(certs.authority("Tine Clients").crt)})
    return start


def told(server, context):
    with TLSConn(server.address, context=context) as c:
        return c.request().json()["extensions"]["tls"]


@pytest.mark.parametrize("reqs", ["optional", "required"])
def test_client_certificate(asking, version, reqs):
    cert = certs.client("/C=DE/O=Tine, Inc./CN=Ömer", by="Tine Clients")
    tls = told(asking(reqs), certs.context(cert=cert, most=version))
    assert tls["client_cert_name"] == "CN=Ömer,O=Tine\\, Inc.,C=DE"
    assert tls["client_cert_chain"][0] == cert.pem()
    assert tls["client_cert_error"] is None


def test_no_client_certificate_where_it_is_optional(asking, version):
    tls = told(asking("optional"), certs.context(most=version))
    assert tls["client_cert_chain"] == [] and tls["client_cert_name"] is None


def test_no_client_certificate_where_it_is_required(asking, version):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        told(asking("required"), certs.context(most=version))


@pytest.mark.parametrize("reqs", ["optional", "required"])
def test_client_certificate_of_strangers(asking, version, reqs):
    cert = certs.client("/CN=mallory", by="Tine Strangers")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        told(asking(reqs), certs.context(cert=cert, most=version))


def test_client_certificate_in_a_resumed_session(asking, version):
    server = asking("required")
    context = certs.context(cert=certs.client(by="Tine Clients"), most=version)
    session = session_of(server.address, context)
    with TLSConn(server.address, context=context, session=session) as c:
        assert c.reused
        assert c.request().json()["extensions"]["tls"]["client_cert_name"] == "CN=alice,O=Tine"


# --- sessions ---

def session_of(address, context):
    """A session that can be resumed: in TLS 1.3 tickets come behind the handshake."""
    with TLSConn(address, context=context) as c:
        assert c.request().status == 200
        assert not c.reused
        return c.session


def test_sessions_go_on_at_any_worker(version):
    context = certs.context(most=version)
    with Server("pid", {"server": {"workers": 2}}, tls=True) as server:
        wait_for(lambda: server.log().count("is ready") == 2, what="both workers")
        with TLSConn(server.address, context=context) as c:
            first = c.request().body
            session = c.session
        others = set()
        for _ in range(200):
            with TLSConn(server.address, context=context, session=session) as c:
                assert c.reused
                others.add(c.request().body)
            if others - {first}:
                break
        assert others - {first}, "one worker took all connections"


def test_sessions_go_on_after_a_reload(version):
    context = certs.context(most=version)
    with Server(HELLO, tls=True, respawn=True) as server:
        session = session_of(server.address, context)
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        with TLSConn(server.address, context=context, session=session) as c:
            assert c.reused


def test_no_session_tickets(serve, version):
    server = serve(HELLO, tls={"session_tickets": "false"})
    context = certs.context(most=version)
    with TLSConn(server.address, context=context) as c:
        assert c.request().status == 200
        session = c.session
    assert session is None or not session.has_ticket
    with TLSConn(server.address, context=context) as c:
        assert c.request().status == 200 and not c.reused


def test_sessions_end_when_the_rules_for_clients_change(version):
    """A session made where no certificate was needed must not open a door where one is."""
    context = certs.context(most=version)
    ca = {"ca_certs": str(certs.authority("Tine Clients").crt)}
    with Server(HELLO, tls={"cert_reqs": "optional", **ca}, respawn=True) as server:
        session = session_of(server.address, context)
        server.write_config({"tls": {"cert_reqs": "required"}})
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            with TLSConn(server.address, context=context, session=session) as c:
                c.request()


# --- refusals ---

def refused(tls, message, status=1):
    server = Server(HELLO, tls=tls, status=status)
    server.start()
    try:
        assert server.wait_exit() == status, server.log()
        server.wait_log(message)
    finally:
        server.kill()
        server.cleanup()


def test_key_of_another_certificate():
    refused({"keyfile": str(certs.server("one.example").key)}, r"server-one\.example\S+\.key: the key does not match the "
            r"certificate in \S+server-localhost")


def test_no_such_file():
    refused({"certfile": "/nowhere.crt"}, r"/nowhere\.crt: No such file")


def test_certificate_that_is_none(tmp_path):
    (tmp_path / "x.crt").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    refused({"certfile": str(tmp_path / "x.crt")}, r"x\.crt: no certificate in PEM")


def test_key_with_a_password(tmp_path):
    certs.openssl("pkey", "-in", certs.server().key, "-aes256", "-passout", "pass:secret", "-out", tmp_path / "x.key")
    refused({"keyfile": str(tmp_path / "x.key")}, r"x\.key: no private key in PEM that needs no password")


def test_wrong_cipher_names():
    refused({"ciphers": "NONSENSE"}, r"tls\.ciphers: ")
    refused({"ciphersuites": "NONSENSE"}, r"tls\.ciphersuites: ")


def test_sni_dir_without_a_key(tmp_path):
    shutil.copy(certs.server().crt, tmp_path / "a.example.crt")
    refused({"sni_dir": str(tmp_path)}, r"a\.example\.key: No such file")


def test_reload_with_a_wrong_key_is_rolled_back():
    with Server(HELLO, tls=True, respawn=True) as server:
        server.write_config({"tls": {"keyfile": str(certs.server("one.example").key)}})
        server.signal(signal.SIGHUP)
        server.wait_log("reload failed: old workers keep serving")
        server.wait_log("the key does not match the certificate")
        assert server.get().status == 200
        server.write_config({"tls": {"keyfile": "/nowhere.key"}})
        server.signal(signal.SIGHUP)
        server.wait_log(r"reload: /nowhere\.key: No such file")
        assert server.get().status == 200


# --- new files ---

class Site:
    """A certificate and a key whose files are replaced while they are in use."""

    def __init__(self, folder):
        self.crt, self.key = folder / "site.crt", folder / "site.key"
        self.put(certs.server(serial=1001))

    def put(self, cert, key=None):
        for source, target in (((key or cert).key, self.key), (cert.crt, self.crt)):
            fresh = target.with_suffix(".new")
            shutil.copy(source, fresh)
            os.replace(fresh, target)

    def config(self):
        return {"certfile": str(self.crt), "keyfile": str(self.key)}


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def wait_shown(server, cert):
    wait_for(lambda: shown(server.address) == cert.pem(), what="the new certificate")


class Load(threading.Thread):
    """Requests on a kept connection and on new ones, none of which may fail."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.over, self.n, self.fault = server, threading.Event(), 0, None
        self.start()

    def run(self):
        try:
            with self.server.connect() as kept:
                while not self.over.is_set():
                    assert kept.request().status == 200
                    assert self.server.get().status == 200
                    self.n += 1
        except BaseException as e:
            self.fault = e

    def stop(self):
        self.over.set()
        self.join(30)
        assert self.fault is None, repr(self.fault)
        assert self.n


def test_new_files_are_taken_up_under_load(site):
    config = {"server": {"workers": 2}, "http": {"keepalive": "20s"}}
    with Server(HELLO, config, tls=site.config()) as server, server.connect() as before:
        assert before.request().status == 200
        load = Load(server)
        site.put(certs.server(serial=1002))
        server.wait_log("(new certificates are in use.*){2}")
        assert shown(server.address) == certs.server(serial=1002).pem()
        assert before.request().status == 200, "a connection was lost"
        load.stop()


def test_new_files_that_do_not_match_change_nothing(site):
    with Server(HELLO, tls=site.config()) as server:
        site.put(certs.server(serial=1002), key=certs.server("one.example"))
        server.wait_log("the new certificates are not taken up: .*the key does not match")
        assert shown(server.address) == certs.server(serial=1001).pem()
        site.key.unlink()
        server.wait_log(r"the files have changed and cannot be read: \S+site\.key: No such file")
        assert shown(server.address) == certs.server(serial=1001).pem()
        site.put(certs.server(serial=1003))
        wait_shown(server, certs.server(serial=1003))


def test_new_files_in_sni_dir(names, tmp_path):
    folder = tmp_path / "sni"
    shutil.copytree(names, folder)
    with Server(HELLO, tls={"sni_dir": str(folder)}) as server:
        cert = certs.server("late.example")
        shutil.copy(cert.key, folder / "late.example.key")
        shutil.copy(cert.crt, folder / "late.example.crt")
        server.wait_log("new certificates are in use")
        assert shown(server.address, "late.example") == cert.pem()


def test_without_watch_a_reload_takes_them_up(site):
    with Server(HELLO, tls={**site.config(), "watch": "false"}, respawn=True) as server:
        site.put(certs.server(serial=1002))
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        wait_shown(server, certs.server(serial=1002))
        assert "the files have changed" not in server.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_keys_that_only_root_may_read(site):
    """Workers that run as somebody else get keys from the master, new ones too."""
    os.chmod(site.key.parent, 0o700)
    for path in (site.crt, site.key):
        os.chmod(path, 0o600)
    config = {"server": {"user": "nobody"}, "app": {"pythonpath": str(APPS)}}
    with Server(HELLO, config, tls=site.config(), cwd="/") as server:
        assert server.get().status == 200
        site.put(certs.server(serial=1002))
        wait_shown(server, certs.server(serial=1002))


@pytest.mark.parametrize("days, message", [(5, r"\[WARNING\] tls: \S+\.crt: the certificate ends at .* in [45] days"),
                                           (30, None)])
def test_certificates_that_end_soon(days, message):
    with Server(HELLO, tls=certs.server(days=days).config()) as server:
        assert server.get().status == 200
        if message:
            server.wait_log(message)
        else:
            assert "certificate ends" not in server.log()


# --- OCSP ---

@pytest.fixture(scope="module")
def ocsp(tmp_path_factory):
    """An OCSP response for certs.server()."""
    folder = tmp_path_factory.mktemp("ocsp")
    ca, cert = certs.authority(), certs.server()
    serial = certs.openssl("x509", "-in", cert.crt, "-noout", "-serial").decode().strip().partition("=")[2]
    until = time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + 30 * 86400))
    (folder / "index.txt").write_text(f"V\t{until}\t\t{serial}\tunknown\t/CN=localhost\n")
    certs.openssl("ocsp", "-index", folder / "index.txt", "-CA", ca.crt, "-rsigner", ca.crt, "-rkey", ca.key, "-issuer", ca.crt,
                  "-cert", cert.crt, "-respout", folder / "response.der", "-ndays", "2", "-noverify")
    return folder / "response.der"


def status_of(server):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost",
                           "-CAfile", str(certs.authority().crt), "-status"], input=b"", capture_output=True, timeout=30)
    return done.stdout


def test_ocsp_response_is_stapled(ocsp):
    with Server(HELLO, tls={"ocsp_file": str(ocsp)}) as server:
        said = status_of(server)
        assert b"OCSP Response Status: successful" in said and b"Cert Status: good" in said
        assert server.get().status == 200


def test_ocsp_response_comes_later(ocsp, tmp_path):
    file = tmp_path / "late.der"
    with Server(HELLO, tls={"ocsp_file": str(file)}) as server:
        assert NO_RESPONSE.search(status_of(server))
        shutil.copy(ocsp, file)
        server.wait_log("new certificates are in use")
        assert b"Cert Status: good" in status_of(server)
        file.write_bytes(b"nonsense")
        server.wait_log("no OCSP response in DER")
        server.wait_log("(new certificates are in use.*){2}")
        assert NO_RESPONSE.search(status_of(server))
