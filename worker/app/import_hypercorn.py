# SPDX-License-Identifier: BSD-3-Clause
# import_hypercorn.py: what a hypercorn.toml, or a command line of hypercorn, comes to as a tine.ini.

import os
import tomllib

from import_ini import (Ini, Stop, address_of, as_bool, as_list, as_module, put_same, put_without, read_words, split_words)


def number(text):
    return float(text) if "." in text else int(text)


# hypercorn's options: (setting of the file, action, type).
OPTIONS = {
    ("--access-log", "--access-logfile"): ("accesslog", "store", str),
    ("--access-logformat",): ("access_log_format", "store", str), ("--backlog",): ("backlog", "store", int),
    ("-b", "--bind"): ("bind", "append", str), ("--ca-certs",): ("ca_certs", "store", str),
    ("--certfile",): ("certfile", "store", str), ("--cert-reqs",): ("cert_reqs", "store", int),
    ("--ciphers",): ("ciphers", "store", str), ("-c", "--config"): ("config", "store", str),
    ("-D", "--daemon"): ("daemon", "store_true", None), ("--debug",): ("debug", "store_true", None),
    ("--error-log", "--error-logfile", "--log-file"): ("errorlog", "store", str),
    ("--graceful-timeout",): ("graceful_timeout", "store", number), ("--read-timeout",): ("read_timeout", "store", number),
    ("--max-requests",): ("max_requests", "store", int), ("--max-requests-jitter",): ("max_requests_jitter", "store", int),
    ("-g", "--group"): ("group", "store", str), ("-k", "--worker-class"): ("worker_class", "store", str),
    ("--keep-alive",): ("keep_alive_timeout", "store", number), ("--keyfile",): ("keyfile", "store", str),
    ("--keyfile-password",): ("keyfile_password", "store", str),
    ("--insecure-bind",): ("insecure_bind", "append", str), ("--log-config",): ("logconfig", "store", str),
    ("--log-level",): ("loglevel", "store", str), ("-p", "--pid"): ("pid_path", "store", str),
    ("--quic-bind",): ("quic_bind", "append", str), ("--reload",): ("use_reloader", "store_true", None),
    ("--root-path",): ("root_path", "store", str), ("--server-name",): ("server_names", "append", str),
    ("--statsd-host",): ("statsd_host", "store", str), ("--statsd-prefix",): ("statsd_prefix", "store", str),
    ("-m", "--umask"): ("umask", "store", lambda text: int(text, 0)), ("-u", "--user"): ("user", "store", str),
    ("--verify-mode",): ("verify_mode", "store", str),
    ("--websocket-ping-interval",): ("websocket_ping_interval", "store", number),
    ("-w", "--workers"): ("workers", "store", int),
}

SAME = {
    "access_log_format": ("log", "access_log_format"), "accesslog": ("log", "accesslog"), "backlog": ("server", "backlog"),
    "ca_certs": ("tls", "ca_certs"), "certfile": ("tls", "certfile"), "ciphers": ("tls", "ciphers"),
    "keyfile": ("tls", "keyfile"), "graceful_timeout": ("server", "graceful_timeout"),
    "h2_max_concurrent_streams": ("http", "http2_max_concurrent_streams"), "include_date_header": ("http", "date_header"),
    "include_server_header": ("http", "server_header"), "keep_alive_timeout": ("http", "keepalive"),
    "max_requests": ("server", "max_requests"), "max_requests_jitter": ("server", "max_requests_jitter"),
    "pid_path": ("server", "pidfile"), "startup_timeout": ("server", "boot_timeout"), "statsd_host": ("metrics", "statsd"),
    "use_reloader": ("server", "reload"), "websocket_max_message_size": ("websocket", "max_message_size"),
    "websocket_ping_interval": ("websocket", "ping_interval"), "workers": ("server", "workers"),
}

LOGGING = "configure the application's logging in the application"
WITHOUT = {
    "alt_svc_headers": "let the application or the proxy add response fields", "config": "this file",
    "daemon": "workers always end with the master", "debug": "see log.loglevel", "dogstatsd_tags": "see metrics.statsd_tags",
    "group": "the group of Unix sockets is that of the master", "user": "the user of Unix sockets is that of the master",
    "h11_max_incomplete_size": "see http.limit_request_head", "h11_pass_raw_headers": "ASGI has names in lower case",
    "h2_max_header_list_size": "see http.limit_request_head", "h2_max_inbound_frame_size": "frames are at most 16384 bytes",
    "keep_alive_max_requests": "a connection may carry any number of requests",
    "keyfile_password": "put it into a file: tls.key_password = file:PATH", "logconfig": LOGGING, "logconfig_dict": LOGGING,
    "logger_class": LOGGING, "max_app_queue_size": "see http.limit_memory", "quic_bind": "there is no HTTP/3",
    "read_timeout": "see http.header_timeout and http.body_timeout",
    "server_names": "refuse other hosts in the proxy or in the application",
    "shutdown_timeout": "lifespan shutdown is part of server.graceful_timeout",
    "ssl_handshake_timeout": "handshakes are part of http.header_timeout", "verify_flags": "see [tls]",
    "wsgi_max_body_size": "see http.limit_request_body",
}


def one_bind(text, tls):
    if text.startswith(("unix:", "fd://")):
        return text + tls
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return address_of(text, 8000) + tls
    return address_of(host.strip("[]"), port) + tls


def put_binds(ini, got):
    tls = " tls" if got.get("certfile") and got.get("keyfile") else ""
    binds = got.get("bind", ["127.0.0.1:8000"])
    for text in [binds] if isinstance(binds, str) else binds:
        ini.set("server", "bind", one_bind(text, tls))
    insecure = got.get("insecure_bind", [])
    for text in [insecure] if isinstance(insecure, str) else insecure:
        ini.set("server", "bind", one_bind(text, ""))
    if "umask" in got:
        ini.set("server", "socket_mode", format(0o777 & ~got["umask"], "04o"), "hypercorn's umask is that of Unix sockets")


def put_app(ini, got):
    path = got.get("application_path")
    if path:
        prefix, colon, rest = path.partition(":")
        if colon and prefix in ("asgi", "wsgi") and rest:
            ini.set("app", "interface", prefix)
            path = rest
        ini.set("app", "module", as_module(path, "app"))
    else:
        ini.say("app", "module: not in this file; name it here or, as for hypercorn, on the command line")
    kind = got.get("worker_class", "asyncio")
    if kind == "trio":
        ini.set("app", "loop", "trio")
    elif kind != "asyncio":
        ini.skip("worker_class", kind, "the event loop is Tine's, with the interface of asyncio")
    if got.get("root_path", "").rstrip("/"):
        ini.set("app", "root_path", got["root_path"].rstrip("/"))


def put_others(ini, got):
    ini.set("http", "forwarded_family", "none",
            "hypercorn believes no proxy by itself; x-forwarded instead of ProxyFixMiddleware in the application")
    if "alpn_protocols" in got:
        ini.set("tls", "alpn", ",".join(one for one in as_list(got["alpn_protocols"]) if one in ("h2", "http/1.1")))
    mode = str(got.get("verify_mode", got.get("cert_reqs", ""))).rpartition(".")[2]
    if mode:
        names = {"CERT_NONE": "none", "CERT_OPTIONAL": "optional", "CERT_REQUIRED": "required", "0": "none", "1": "optional",
                 "2": "required"}
        ini.set("tls", "cert_reqs", names.get(mode, mode))
    if got.get("loglevel"):
        ini.set("log", "loglevel", str(got["loglevel"]).lower())
    if "errorlog" in got:
        ini.set("log", "errorlog", got["errorlog"] or "-")
    if got.get("statsd_prefix"):
        ini.set("metrics", "statsd_prefix", got["statsd_prefix"].rstrip("."))


BY_HAND = {"bind", "insecure_bind", "umask", "application_path", "worker_class", "root_path", "alpn_protocols", "verify_mode",
           "cert_reqs", "loglevel", "errorlog", "statsd_prefix"}


def run_module(name):
    scope = {"__name__": "hypercorn_config"}
    if name.startswith("python:"):
        return vars(__import__(name[7:], fromlist=["*"]))
    path = name.removeprefix("file:")
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), scope)
    return scope


def read_file(name):
    try:
        if name.startswith(("python:", "file:")):
            return {key: value for key, value in run_module(name).items() if key in SAME or key in WITHOUT or key in BY_HAND}
        with open(name, "rb") as file:
            return tomllib.load(file)
    except OSError as e:
        raise Stop(f"{name}: {e.strerror}") from None
    except tomllib.TOMLDecodeError as e:
        raise Stop(f"{name}: {e}") from None


def convert(words):
    words, is_line = split_words(words, "hypercorn")
    from_words = read_words("hypercorn", OPTIONS, words, "hypercorn", "application_path") if is_line else {"config": words[0]}
    name = from_words.pop("config", None)
    got = read_file(name) if name else {}
    unknown = sorted(got.keys() - SAME.keys() - WITHOUT.keys() - BY_HAND)
    got.update(from_words)
    ini = Ini()
    for put in (put_binds, put_app, put_others):
        put(ini, got)
    for key in ("use_reloader", "include_date_header", "include_server_header"):
        if key in got:
            got[key] = as_bool(got[key])
    put_same(ini, SAME, got)
    put_without(ini, WITHOUT, got)
    if unknown:
        ini.left_out.append(f"# no settings of hypercorn, which ignores them: {', '.join(unknown)}")
    return ini.text(f"From hypercorn's {os.path.basename(name) if name else 'command line'}; tine -c FILE -t checks it.")
