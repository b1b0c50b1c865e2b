# SPDX-License-Identifier: BSD-3-Clause
# import_uvicorn.py: what a command line of uvicorn, with the variables UVICORN_*, comes to as a tine.ini.

import os

from import_ini import (Ini, Stop, address_of, as_list, as_module, put_same, put_without, read_environment, read_words,
                        split_words)


def number(text):
    return float(text) if "." in text else int(text)


def switch(text):
    return text.lower() in ("true", "1", "yes", "on", "t", "y")


# uvicorn's options: (setting, action, type); an option that can be said in two ways has a row for each.
OPTIONS = {
    ("--app",): ("app", "store", str),
    ("--host",): ("host", "store", str), ("--port",): ("port", "store", int), ("--uds",): ("uds", "store", str),
    ("--fd",): ("fd", "store", int), ("--reload",): ("reload", "store_true", None),
    ("--reload-dir",): ("reload_dirs", "append", str), ("--reload-include",): ("reload_includes", "append", str),
    ("--reload-exclude",): ("reload_excludes", "append", str), ("--reload-delay",): ("reload_delay", "store", float),
    ("--workers",): ("workers", "store", int), ("--loop",): ("loop", "store", str), ("--http",): ("http", "store", str),
    ("--http2",): ("http2", "store_true", None),
    ("--ws",): ("ws", "store", str), ("--ws-max-size",): ("ws_max_size", "store", int),
    ("--ws-max-queue",): ("ws_max_queue", "store", int), ("--ws-ping-interval",): ("ws_ping_interval", "store", number),
    ("--ws-ping-timeout",): ("ws_ping_timeout", "store", number),
    ("--ws-per-message-deflate",): ("ws_per_message_deflate", "store", switch),
    ("--lifespan",): ("lifespan", "store", str), ("--interface",): ("interface", "store", str),
    ("--env-file",): ("env_file", "store", str), ("--log-config",): ("log_config", "store", str),
    ("--log-level",): ("log_level", "store", str), ("--access-log",): ("access_log", "store_true", None),
    ("--no-access-log",): ("access_log", "store_false", None), ("--use-colors",): ("use_colors", "store_true", None),
    ("--no-use-colors",): ("use_colors", "store_false", None), ("--proxy-headers",): ("proxy_headers", "store_true", None),
    ("--no-proxy-headers",): ("proxy_headers", "store_false", None),
    ("--server-header",): ("server_header", "store_true", None),
    ("--no-server-header",): ("server_header", "store_false", None), ("--date-header",): ("date_header", "store_true", None),
    ("--no-date-header",): ("date_header", "store_false", None),
    ("--forwarded-allow-ips",): ("forwarded_allow_ips", "store", str), ("--root-path",): ("root_path", "store", str),
    ("--limit-concurrency",): ("limit_concurrency", "store", int), ("--backlog",): ("backlog", "store", int),
    ("--limit-max-requests",): ("limit_max_requests", "store", int),
    ("--limit-max-requests-jitter",): ("limit_max_requests_jitter", "store", int),
    ("--timeout-keep-alive",): ("timeout_keep_alive", "store", int),
    ("--timeout-graceful-shutdown",): ("timeout_graceful_shutdown", "store", int),
    ("--timeout-worker-healthcheck",): ("timeout_worker_healthcheck", "store", int),
    ("--ssl-keyfile",): ("ssl_keyfile", "store", str), ("--ssl-certfile",): ("ssl_certfile", "store", str),
    ("--ssl-keyfile-password",): ("ssl_keyfile_password", "store", str),
    ("--ssl-version",): ("ssl_version", "store", int), ("--ssl-cert-reqs",): ("ssl_cert_reqs", "store", int),
    ("--ssl-ca-certs",): ("ssl_ca_certs", "store", str), ("--ssl-ciphers",): ("ssl_ciphers", "store", str),
    ("--header",): ("headers", "append", str), ("--version",): ("version", "store_true", None),
    ("--app-dir",): ("app_dir", "store", str),
    ("--h11-max-incomplete-event-size",): ("h11_max_incomplete_event_size", "store", int),
    ("--reset-contextvars",): ("reset_contextvars", "store_true", None), ("--factory",): ("factory", "store_true", None),
}

SAME = {
    "reload": ("server", "reload"), "workers": ("server", "workers"), "backlog": ("server", "backlog"),
    "limit_max_requests": ("server", "max_requests"), "limit_max_requests_jitter": ("server", "max_requests_jitter"),
    "timeout_graceful_shutdown": ("server", "graceful_timeout"), "env_file": ("server", "env_file"),
    "lifespan": ("app", "lifespan"), "app_dir": ("app", "pythonpath"), "timeout_keep_alive": ("http", "keepalive"),
    "server_header": ("http", "server_header"), "date_header": ("http", "date_header"),
    "ws_max_size": ("websocket", "max_message_size"), "ws_max_queue": ("websocket", "max_queue"),
    "ws_ping_interval": ("websocket", "ping_interval"), "ws_ping_timeout": ("websocket", "ping_timeout"),
    "ws_per_message_deflate": ("websocket", "per_message_deflate"),
    "ssl_keyfile": ("tls", "keyfile"), "ssl_certfile": ("tls", "certfile"), "ssl_ca_certs": ("tls", "ca_certs"),
    "ssl_ciphers": ("tls", "ciphers"),
}

WITHOUT = {
    "http": "there is one HTTP implementation", "http2": "HTTP/2 is offered over TLS unless http.http2 = false",
    "log_config": "configure the application's logging in the application", "use_colors": "log lines have no colour",
    "ssl_version": "see tls.min_version", "ssl_keyfile_password": "put it into a file: tls.key_password = file:PATH",
    "reload_delay": "the kernel tells of changes", "reload_includes": "see server.reload_extra_files",
    "reload_excludes": "see server.reload", "h11_max_incomplete_event_size": "see http.limit_request_head",
    "timeout_worker_healthcheck": "see server.timeout", "headers": "let the application or the proxy add response fields",
    "reset_contextvars": "every request has a context of its own", "version": "tine --version",
}


def put_bind(ini, got):
    flags = " tls" if got.get("ssl_certfile") else ""
    if "fd" in got:
        ini.set("server", "bind", f"fd://{got['fd']}{flags}")
    elif "uds" in got:
        ini.set("server", "bind", f"unix:{got['uds']}{flags}", "uvicorn makes it open to everybody: see server.socket_mode")
        ini.set("server", "socket_mode", "0666")
    else:
        ini.set("server", "bind", address_of(got.get("host", "127.0.0.1"), got.get("port", 8000)) + flags)


def put_trust(ini, got):
    """uvicorn takes a Unix socket for no proxy, unless "*" or its path is named."""
    if got.get("proxy_headers", True) is False:
        ini.set("http", "forwarded_family", "none", "--no-proxy-headers")
    text = got.get("forwarded_allow_ips", os.environ.get("FORWARDED_ALLOW_IPS"))
    if text is not None:
        allowed = ["unix" if one.startswith(("/", "unix:")) else one for one in as_list(text)]
        ini.set("http", "forwarded_allow_ips", ",".join(allowed))


def put_app(ini, got):
    if "app" not in got:
        raise Stop("uvicorn: no application is named")
    module = as_module(got["app"], "app")
    ini.set("app", "module", f"{module}()" if got.get("factory") and not module.endswith(")") else module)
    if got.get("interface", "auto") != "auto":
        ini.set("app", "interface", {"asgi3": "asgi"}.get(got["interface"], got["interface"]))
    if got.get("loop", "auto") == "asyncio":
        ini.skip("loop", "asyncio", "the event loop is Tine's, with the interface of asyncio")
    elif got.get("loop", "auto") != "auto":
        ini.skip("loop", got["loop"], "the event loop is Tine's")
    if got.get("root_path"):
        ini.set("app", "root_path", got["root_path"].rstrip("/"))


def put_others(ini, got):
    for folder in got.get("reload_dirs", ()):
        ini.set("server", "reload_extra_files", folder)
    if "limit_concurrency" in got:
        ini.set("http", "max_inflight", max(got["limit_concurrency"] - 1, 1),
                "limit_concurrency counts connections, idle ones too; this, the requests of one worker")
        ini.set("http", "max_queue", 1, "those above it get 503")
        ini.set("http", "queue_timeout", "1ms")
    if got.get("ws", "auto") not in ("auto", "none"):
        ini.skip("ws", got["ws"], "see websocket.engine")
    if got.get("ws") == "none":
        ini.skip("ws", "none", "WebSockets cannot be turned off: the application refuses them")
    ini.set("log", "loglevel", {"trace": "debug"}.get(got.get("log_level", "info"), got.get("log_level", "info")))
    if got.get("access_log", True):
        ini.set("log", "accesslog", "-", "uvicorn has an access log unless --no-access-log is given")
    if "ssl_cert_reqs" in got:
        ini.set("tls", "cert_reqs", {0: "none", 1: "optional", 2: "required"}.get(got["ssl_cert_reqs"], got["ssl_cert_reqs"]))


BY_HAND = {"app", "host", "port", "uds", "fd", "factory", "interface", "loop", "root_path", "proxy_headers",
           "forwarded_allow_ips", "reload_dirs", "limit_concurrency", "ws", "log_level", "access_log", "ssl_cert_reqs"}


def convert(words):
    words, _ = split_words(words, "uvicorn")
    got = read_environment("UVICORN", OPTIONS)
    got.update(read_words("uvicorn", OPTIONS, words, "uvicorn", "app"))
    ini = Ini()
    for put in (put_bind, put_trust, put_app, put_others):
        put(ini, got)
    put_same(ini, SAME, got)
    put_without(ini, WITHOUT, got)
    return ini.text("From a command line of uvicorn; tine -c FILE -t checks it.")
