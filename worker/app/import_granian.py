# SPDX-License-Identifier: BSD-3-Clause
# import_granian.py: what a command line of granian, with the variables GRANIAN_*, comes to as a tine.ini.

import os

from import_ini import Ini, Stop, address_of, as_module, put_same, put_without, read_environment, read_words, split_words

# Options with a value: setting -> type; the option has dashes for the underscores.
VALUES = {
    "host": str, "port": int, "uds": str, "uds_permissions": str, "interface": str, "http": str, "workers": int,
    "blocking_threads": int, "blocking_threads_idle_timeout": str, "runtime_threads": int, "runtime_blocking_threads": int,
    "runtime_mode": str, "loop": str, "task_impl": str, "backlog": int, "backpressure": int, "http1_buffer_size": int,
    "http1_header_read_timeout": int, "http2_initial_connection_window_size": int, "http2_initial_stream_window_size": int,
    "http2_keep_alive_interval": int, "http2_keep_alive_timeout": str, "http2_max_concurrent_streams": int,
    "http2_max_frame_size": int, "http2_max_headers_size": int, "http2_max_send_buffer_size": int, "log_level": str,
    "log_config": str, "log_access_fmt": str, "ssl_certificate": str, "ssl_keyfile": str, "ssl_keyfile_password": str,
    "ssl_protocol_min": str, "ssl_ca": str, "url_path_prefix": str, "respawn_interval": float, "rss_sample_interval": str,
    "rss_samples": int, "workers_lifetime": str, "workers_max_rss": int, "workers_kill_timeout": str, "working_dir": str,
    "static_path_dir_to_file": str, "static_path_expires": str, "metrics_scrape_interval": str, "metrics_address": str,
    "metrics_port": int, "reload_tick": int, "process_name": str, "pid_file": str,
}
LISTS = ("ssl_crl", "env_files", "static_path_route", "static_path_mount", "reload_paths", "reload_ignore_dirs",
         "reload_ignore_patterns", "reload_ignore_paths")
# --x and --no-x: option -> setting.
SWITCHES = {
    "ws": "websockets", "http1-keep-alive": "http1_keep_alive", "http1-pipeline-flush": "http1_pipeline_flush",
    "http2-adaptive-window": "http2_adaptive_window", "log": "log_enabled", "access-log": "log_access_enabled",
    "ssl-client-verify": "ssl_client_verify", "respawn-failed-workers": "respawn_failed_workers", "factory": "factory",
    "metrics": "metrics_enabled", "reload": "reload", "reload-ignore-worker-failure": "reload_ignore_worker_failure",
}
NAMED_OTHERWISE = {"log_access_fmt": "--access-log-fmt"}
OPTIONS = {(NAMED_OTHERWISE.get(name, "--" + name.replace("_", "-")),): (name, "store", kind) for name, kind in VALUES.items()}
OPTIONS |= {("--" + name.replace("_", "-"),): (name, "append", str) for name in LISTS}
OPTIONS |= {(f"--{option}",): (name, "store_true", None) for option, name in SWITCHES.items()}
OPTIONS |= {(f"--no-{option}",): (name, "store_false", None) for option, name in SWITCHES.items()}
OPTIONS |= {("--version",): ("version", "store_true", None)}

SAME = {
    "workers": ("server", "workers"), "backlog": ("server", "backlog"), "backpressure": ("server", "worker_connections"),
    "workers_lifetime": ("server", "max_worker_lifetime"), "workers_kill_timeout": ("server", "graceful_timeout"),
    "working_dir": ("server", "chdir"), "reload": ("server", "reload"), "process_name": ("server", "proc_name"),
    "pid_file": ("server", "pidfile"), "http2_max_concurrent_streams": ("http", "http2_max_concurrent_streams"),
    "ssl_certificate": ("tls", "certfile"), "ssl_keyfile": ("tls", "keyfile"), "ssl_ca": ("tls", "ca_certs"),
}

OWN_THREADS = "each worker has one event loop, in one thread"
WINDOWS = "see http.http2_initial_window_size"
WATCHED = "see server.reload"
WITHOUT = {
    "blocking_threads_idle_timeout": "threads stay", "runtime_threads": OWN_THREADS, "runtime_blocking_threads": OWN_THREADS,
    "runtime_mode": OWN_THREADS, "loop": "the event loop is Tine's, with the interface of asyncio",
    "task_impl": "tasks are Tine's", "http1_buffer_size": "see http.limit_request_head",
    "http1_pipeline_flush": "answers of a pipeline are sent together", "http2_adaptive_window": WINDOWS,
    "http2_initial_connection_window_size": WINDOWS, "http2_keep_alive_interval": "see server.tcp_keepalive",
    "http2_keep_alive_timeout": "see server.tcp_keepalive", "http2_max_frame_size": "frames are at most 16384 bytes",
    "http2_max_headers_size": "see http.limit_request_head", "http2_max_send_buffer_size": "see http.limit_memory",
    "log_config": "configure the application's logging in the application", "log_access_fmt": "see log.access_log_format",
    "ssl_keyfile_password": "put it into a file: tls.key_password = file:PATH", "ssl_crl": "revoked certificates are not known",
    "respawn_failed_workers": "a worker that ends is always replaced", "respawn_interval": "the pause grows by itself",
    "rss_sample_interval": "memory is looked at once a second", "rss_samples": "see server.max_worker_memory",
    "metrics_scrape_interval": "metrics are never old", "reload_ignore_dirs": WATCHED, "reload_ignore_patterns": WATCHED,
    "reload_ignore_paths": WATCHED, "reload_tick": "the kernel tells of changes",
    "reload_ignore_worker_failure": "a reload that fails leaves the old workers", "version": "tine --version",
    "log_enabled": "see log.errorlog",
}


def put_bind(ini, got):
    flags = " tls" if got.get("ssl_certificate") else " h2c" if got.get("http") == "2" else ""
    if got.get("uds"):
        ini.set("server", "bind", f"unix:{got['uds']}{flags}")
        if got.get("uds_permissions"):
            ini.set("server", "socket_mode", got["uds_permissions"])
    else:
        ini.set("server", "bind", address_of(got.get("host", "127.0.0.1"), got.get("port", 8000)) + flags)
    if got.get("metrics_enabled"):
        ini.set("metrics", "bind", address_of(got.get("metrics_address", "127.0.0.1"), got.get("metrics_port", 9090)))


def put_app(ini, got):
    if "app" not in got:
        raise Stop("granian: no application is named")
    factory = got.get("factory")
    module = as_module(got["app"], "create_app" if factory else "app")
    ini.set("app", "module", f"{module}()" if factory else module)
    interface = got.get("interface", "rsgi")
    if interface == "rsgi":
        ini.skip("interface", interface, "RSGI is granian's own: the application must offer ASGI or WSGI")
    else:
        ini.set("app", "interface", {"asginl": "asgi"}.get(interface, interface))
    if interface == "asginl":
        ini.set("app", "lifespan", "off")
    if "blocking_threads" in got:
        ini.set("app", "threads", got["blocking_threads"])
    if got.get("url_path_prefix"):
        ini.set("app", "root_path", got["url_path_prefix"].rstrip("/"))


def put_http(ini, got):
    ini.set("http", "forwarded_family", "none",
            "granian believes no proxy by itself; x-forwarded instead of its wrappers in the application")
    if got.get("http") == "1":
        ini.set("http", "http2", False)
    if "http1_header_read_timeout" in got:
        ini.set("http", "header_timeout", f"{got['http1_header_read_timeout']}ms")
    if got.get("http1_keep_alive") is False:
        ini.set("http", "keepalive", 0)
    if "http2_initial_stream_window_size" in got:
        ini.set("http", "http2_initial_window_size", max(got["http2_initial_stream_window_size"], 65535))
    if got.get("websockets") is False:
        ini.skip("ws", False, "WebSockets cannot be turned off: the application refuses them")


def put_tls(ini, got):
    if got.get("ssl_certificate"):
        ini.set("tls", "min_version", got.get("ssl_protocol_min", "tls1.3").removeprefix("tls"))
    if got.get("ssl_client_verify"):
        ini.set("tls", "cert_reqs", "required")


def put_static(ini, got):
    routes = got.get("static_path_route") or ["/static"]
    for route, folder in zip(routes, got.get("static_path_mount", ())):
        section = f"static:{route}"
        ini.set(section, "dir", folder)
        if got.get("static_path_dir_to_file"):
            ini.set(section, "index", got["static_path_dir_to_file"])
        ini.set(section, "expires", got.get("static_path_expires", 86400))


def put_others(ini, got):
    for path in got.get("env_files", ()):
        ini.set("server", "env_file", path)
    for path in got.get("reload_paths", ()):
        ini.set("server", "reload_extra_files", path)
    if "workers_max_rss" in got:
        ini.set("server", "max_worker_memory", f"{got['workers_max_rss']}m")
    if "log_level" in got:
        ini.set("log", "loglevel", {"warn": "warning", "fatal": "critical", "notset": "debug"}.get(got["log_level"],
                                                                                                   got["log_level"]))
    if got.get("log_access_enabled"):
        ini.set("log", "accesslog", "-")


BY_HAND = {"app", "host", "port", "uds", "uds_permissions", "interface", "http", "blocking_threads",
           "http1_header_read_timeout", "http1_keep_alive", "http2_initial_stream_window_size", "websockets", "log_level",
           "log_access_enabled", "ssl_protocol_min", "ssl_client_verify", "url_path_prefix", "workers_max_rss", "env_files",
           "static_path_route", "static_path_mount", "static_path_dir_to_file", "static_path_expires", "metrics_enabled",
           "metrics_address", "metrics_port", "reload_paths", "factory"}


def convert(words):
    words, _ = split_words(words, "granian")
    got = read_environment("GRANIAN", OPTIONS)
    for name in LISTS:
        if isinstance(got.get(name), list):
            got[name] = [one for text in got[name] for one in text.split(os.pathsep)]
    got.update(read_words("granian", OPTIONS, words, "granian", "app"))
    ini = Ini()
    for put in (put_bind, put_app, put_http, put_tls, put_static, put_others):
        put(ini, got)
    put_same(ini, SAME, got)
    put_without(ini, WITHOUT, got)
    return ini.text("From a command line of granian; tine -c FILE -t checks it.")
