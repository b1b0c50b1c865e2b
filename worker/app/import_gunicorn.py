# SPDX-License-Identifier: BSD-3-Clause
# import_gunicorn.py: what a gunicorn.conf.py, or a command line of gunicorn, comes to as a tine.ini. convert() runs the
# file, adds GUNICORN_CMD_ARGS and the words, in gunicorn's order, and returns the text.

import os

from import_ini import (Ini, Stop, as_bool, as_int, as_list, as_module, bind_of, computed_names, put_same, put_without, read_words,
                        split_text, split_words)

# gunicorn's option: (setting, action, type). Options without a row here have no meaning in an environment variable.
OPTIONS = {
    ("-b", "--bind"): ("bind", "append", str), ("--backlog",): ("backlog", "store", int),
    ("-w", "--workers"): ("workers", "store", int), ("-k", "--worker-class"): ("worker_class", "store", str),
    ("--threads",): ("threads", "store", int), ("--worker-connections",): ("worker_connections", "store", int),
    ("--max-requests",): ("max_requests", "store", int),
    ("--max-requests-jitter",): ("max_requests_jitter", "store", int),
    ("-t", "--timeout"): ("timeout", "store", int), ("--graceful-timeout",): ("graceful_timeout", "store", int),
    ("--keep-alive",): ("keepalive", "store", int), ("--limit-request-line",): ("limit_request_line", "store", int),
    ("--limit-request-fields",): ("limit_request_fields", "store", int),
    ("--limit-request-field_size",): ("limit_request_field_size", "store", int),
    ("--reload",): ("reload", "store_true", None), ("--reload-engine",): ("reload_engine", "store", str),
    ("--reload-extra-file",): ("reload_extra_files", "append", str), ("--spew",): ("spew", "store_true", None),
    ("--check-config",): ("check_config", "store_true", None), ("--print-config",): ("print_config", "store_true", None),
    ("--preload",): ("preload_app", "store_true", None), ("--no-sendfile",): ("sendfile", "store_false", None),
    ("--reuse-port",): ("reuse_port", "store_true", None), ("--chdir",): ("chdir", "store", str),
    ("-D", "--daemon"): ("daemon", "store_true", None), ("-e", "--env"): ("raw_env", "append", str),
    ("-p", "--pid"): ("pidfile", "store", str), ("--worker-tmp-dir",): ("worker_tmp_dir", "store", str),
    ("-u", "--user"): ("user", "store", str), ("-g", "--group"): ("group", "store", str),
    ("-m", "--umask"): ("umask", "store", str), ("--initgroups",): ("initgroups", "store_true", None),
    ("--forwarded-allow-ips",): ("forwarded_allow_ips", "store", str),
    ("--access-logfile",): ("accesslog", "store", str), ("--access-logformat",): ("access_log_format", "store", str),
    ("--disable-redirect-access-to-syslog",): ("disable_redirect_access_to_syslog", "store_true", None),
    ("--error-logfile", "--log-file"): ("errorlog", "store", str), ("--log-level",): ("loglevel", "store", str),
    ("--capture-output",): ("capture_output", "store_true", None), ("--logger-class",): ("logger_class", "store", str),
    ("--log-config",): ("logconfig", "store", str), ("--log-config-json",): ("logconfig_json", "store", str),
    ("--log-syslog-to",): ("syslog_addr", "store", str), ("--log-syslog",): ("syslog", "store_true", None),
    ("--log-syslog-prefix",): ("syslog_prefix", "store", str),
    ("--log-syslog-facility",): ("syslog_facility", "store", str),
    ("-R", "--enable-stdio-inheritance"): ("enable_stdio_inheritance", "store_true", None),
    ("--statsd-host",): ("statsd_host", "store", str), ("--dogstatsd-tags",): ("dogstatsd_tags", "store", str),
    ("--statsd-prefix",): ("statsd_prefix", "store", str), ("-n", "--name"): ("proc_name", "store", str),
    ("-c", "--config"): ("config", "store", str),
    ("--enable-backlog-metric",): ("enable_backlog_metric", "store_true", None),
    ("--pythonpath",): ("pythonpath", "store", str), ("--paste", "--paster"): ("paste", "store", str),
    ("--proxy-protocol",): ("proxy_protocol", "maybe", str), ("--proxy-allow-from",): ("proxy_allow_ips", "store", str),
    ("--protocol",): ("protocol", "store", str), ("--uwsgi-allow-from",): ("uwsgi_allow_ips", "store", str),
    ("--keyfile",): ("keyfile", "store", str), ("--certfile",): ("certfile", "store", str),
    ("--ssl-version",): ("ssl_version", "store", str), ("--cert-reqs",): ("cert_reqs", "store", str),
    ("--ca-certs",): ("ca_certs", "store", str), ("--ciphers",): ("ciphers", "store", str),
    ("--suppress-ragged-eofs",): ("suppress_ragged_eofs", "store_true", None),
    ("--do-handshake-on-connect",): ("do_handshake_on_connect", "store_true", None),
    ("--http-protocols",): ("http_protocols", "store", str), ("--http2-cleartext",): ("http2_cleartext", "store", str),
    ("--http2-max-concurrent-streams",): ("http2_max_concurrent_streams", "store", int),
    ("--http2-initial-window-size",): ("http2_initial_window_size", "store", int),
    ("--http2-max-frame-size",): ("http2_max_frame_size", "store", int),
    ("--http2-max-header-list-size",): ("http2_max_header_list_size", "store", int),
    ("--paste-global",): ("raw_paste_global_conf", "append", str),
    ("--permit-obsolete-folding",): ("permit_obsolete_folding", "store_true", None),
    ("--strip-header-spaces",): ("strip_header_spaces", "store_true", None),
    ("--permit-unconventional-http-method",): ("permit_unconventional_http_method", "store_true", None),
    ("--permit-unconventional-http-version",): ("permit_unconventional_http_version", "store_true", None),
    ("--casefold-http-method",): ("casefold_http_method", "store_true", None),
    ("--tolerate-dangerous-framing",): ("tolerate_dangerous_framing", "store_true", None),
    ("--forwarder-headers",): ("forwarder_headers", "store", str), ("--header-map",): ("header_map", "store", str),
    ("--asgi-loop",): ("asgi_loop", "store", str), ("--asgi-lifespan",): ("asgi_lifespan", "store", str),
    ("--asgi-disconnect-grace-period",): ("asgi_disconnect_grace_period", "store", int),
    ("--websocket-max-message-size",): ("websocket_max_message_size", "store", int),
    ("--http-parser",): ("http_parser", "store", str), ("--root-path",): ("root_path", "store", str),
    ("--dirty-app",): ("dirty_apps", "append", str), ("--dirty-workers",): ("dirty_workers", "store", int),
    ("--dirty-timeout",): ("dirty_timeout", "store", int), ("--dirty-threads",): ("dirty_threads", "store", int),
    ("--dirty-graceful-timeout",): ("dirty_graceful_timeout", "store", int),
    ("--control-socket",): ("control_socket", "store", str),
    ("--control-socket-mode",): ("control_socket_mode", "store", str),
    ("--no-control-socket",): ("control_socket_disable", "store_true", None),
}

# Same meaning under this name: setting -> (section, key).
SAME = {
    "backlog": ("server", "backlog"), "worker_connections": ("server", "worker_connections"),
    "max_requests": ("server", "max_requests"), "max_requests_jitter": ("server", "max_requests_jitter"),
    "timeout": ("server", "timeout"), "graceful_timeout": ("server", "graceful_timeout"),
    "keepalive": ("http", "keepalive"), "reload": ("server", "reload"), "preload_app": ("app", "preload_app"),
    "chdir": ("server", "chdir"), "daemon": ("server", "daemon"), "pidfile": ("server", "pidfile"),
    "user": ("server", "user"), "group": ("server", "group"), "proc_name": ("server", "proc_name"),
    "accesslog": ("log", "accesslog"), "access_log_format": ("log", "access_log_format"),
    "errorlog": ("log", "errorlog"), "statsd_host": ("metrics", "statsd"),
    "statsd_prefix": ("metrics", "statsd_prefix"), "dogstatsd_tags": ("metrics", "statsd_tags"), "keyfile": ("tls", "keyfile"),
    "certfile": ("tls", "certfile"), "ca_certs": ("tls", "ca_certs"), "ciphers": ("tls", "ciphers"),
    "root_path": ("app", "root_path"), "asgi_lifespan": ("app", "lifespan"),
    "http2_max_concurrent_streams": ("http", "http2_max_concurrent_streams"),
    "http2_initial_window_size": ("http", "http2_initial_window_size"),
    "websocket_max_message_size": ("websocket", "max_message_size"),
}

SMUGGLING = "requests that are not exact are refused, whatever the setting: leniency is what makes smuggling possible"
DIRTY = "there are no dirty workers: run such work in a task queue"
LOGGING = "log lines are Tine's own; configure the application's logging in the application"
# No counterpart: setting -> why, and what instead.
WITHOUT = {
    "config": "this file", "reload_engine": "changes are told by inotify", "spew": "use a tracer of Python",
    "check_config": "tine -t", "print_config": "tine -T", "sendfile": "files are sent by sendfile where that is possible",
    "worker_tmp_dir": "workers give their sign of life in shared memory, not in a file",
    "initgroups": "workers always get the groups of their user", "tmp_upload_dir": "bodies are not stored in files",
    "disable_redirect_access_to_syslog": "logs go where log.accesslog says, and nowhere else",
    "capture_output": "standard output and error of the application are those of the server: redirect them there",
    "logger_class": LOGGING, "logconfig": LOGGING, "logconfig_dict": LOGGING, "logconfig_json": LOGGING,
    "syslog_prefix": "server.proc_name is what the daemon shows", "syslog_facility": "the facility is daemon",
    "enable_stdio_inheritance": "standard streams are inherited, unbuffered or not as Python's own variables say",
    "enable_backlog_metric": "see the metrics of the system for listen queues", "default_proc_name": "see server.proc_name",
    "paste": "name the application as module:factory(), with a function that calls paste.deploy.loadapp",
    "raw_paste_global_conf": "see paste", "uwsgi_allow_ips": "the uwsgi protocol is not spoken: let the proxy speak HTTP",
    "ssl_version": "see tls.min_version", "suppress_ragged_eofs": "a connection cut without notice is an end like any other",
    "do_handshake_on_connect": "handshakes never block", "http2_max_frame_size": "frames are at most 16384 bytes",
    "http2_max_header_list_size": "see http.limit_request_head",
    "permit_obsolete_folding": SMUGGLING, "strip_header_spaces": SMUGGLING,
    "tolerate_dangerous_framing": SMUGGLING,
    "permit_unconventional_http_method": "any token is a method, whatever its length and its letters",
    "permit_unconventional_http_version": SMUGGLING, "casefold_http_method": "methods are as received",
    "forwarder_headers": "SCRIPT_NAME comes from app.root_path, or with http.forwarded_host from X-Forwarded-Prefix; "
                         "PATH_INFO from the request",
    "asgi_disconnect_grace_period": "an application is told of a disconnect, and not cancelled",
    "http_parser": "there is one parser", "control_socket": "another protocol: see control.socket and tinectl",
    "control_socket_mode": "see control.mode", "control_socket_disable": "there is no control socket unless it is named",
    "dirty_apps": DIRTY, "dirty_workers": DIRTY, "dirty_timeout": DIRTY, "dirty_threads": DIRTY,
    "dirty_graceful_timeout": DIRTY,
}

# Called by Tine under the same names, if app.hooks names the module that has them.
CALLED = ("post_fork", "when_ready", "worker_exit", "child_exit", "on_reload")
LIFESPAN = "ASGI: the application's lifespan start-up; WSGI: when its module is loaded, once in each worker"
EXEC = "watch the log, the service manager's messages, or run tine in a script"
HOOKS = {
    "on_starting": EXEC, "pre_fork": LIFESPAN, "post_worker_init": LIFESPAN,
    "worker_int": "ASGI: lifespan shut-down; WSGI: atexit",
    "worker_abort": "a worker that hangs is reported in the log with the stack of each thread",
    "pre_exec": EXEC, "pre_request": "a middleware of the application",
    "post_request": "a middleware of the application, or the access log",
    "nworkers_changed": EXEC, "on_exit": EXEC, "ssl_context": "see the section [tls]",
    "on_dirty_starting": DIRTY, "dirty_post_fork": DIRTY, "dirty_worker_init": DIRTY, "dirty_worker_exit": DIRTY,
}

GEVENT_CLASSES = ("gevent", "gevent_wsgi", "gevent_pywsgi", "GeventWorker", "GeventPyWSGIWorker")
WSGI_CLASSES = ("sync", "gthread", "eventlet", "gevent", "gevent_wsgi", "gevent_pywsgi", "tornado")


# --- what gunicorn would read ---

def run_file(name):
    """The variables of a configuration file, as gunicorn runs it."""
    if name.startswith("python:"):
        module = __import__(name[7:], fromlist=["*"])
        return {k: v for k, v in vars(module).items()}
    path = name[5:] if name.startswith("file:") else name
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
    except OSError as e:
        raise Stop(f"{path}: {e.strerror}") from None
    scope = {"__name__": "__config__", "__file__": path, "__builtins__": __builtins__}
    exec(code, scope)
    return scope


# --- value by value ---

def put_binds(ini, got):
    flags = " proxy" if got.get("proxy_protocol") not in (None, False, "off", "false", "False", "") else ""
    flags += " tls" if got.get("certfile") else ""
    flags += " h2c" if got.get("http2_cleartext") not in (None, False, "off", "") else ""
    binds = as_list(got.get("bind"))
    if not binds and flags:
        port = os.environ.get("PORT")
        binds = [f"0.0.0.0:{port}" if port else "127.0.0.1:8000"]
    for one in binds:
        ini.set("server", "bind", bind_of(one) + flags)


def put_class(ini, got):
    value = got.get("worker_class", "sync")
    named = "worker_class" in got
    name = value if isinstance(value, str) else f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"
    threads = as_int(got.get("threads", 1))
    short = name.rpartition(".")[2]
    if name == "asgi" or short.startswith("Uvicorn"):
        ini.say("app", f"worker_class = {name}: app.interface is found out when the application is loaded")
        return
    if name not in WSGI_CLASSES and not name.startswith("gunicorn.workers."):
        ini.skip("worker_class", name, "unknown; app.interface is found out when the application is loaded")
        if "threads" in got:
            ini.set("app", "threads", threads)
        return
    if short in GEVENT_CLASSES:
        ini.set("app", "loop", "gevent")
        if "worker_connections" in got:
            ini.set("app", "threads", as_int(got["worker_connections"]), "greenlets")
        return
    note = None
    if name.rpartition(".")[2] not in ("sync", "gthread", "SyncWorker", "ThreadWorker"):
        note = (f"worker_class = {name}: the application runs in threads instead; as many requests as these can wait at a "
                "time")
        threads = max(threads, 32)
    if note or named or "threads" in got:
        ini.set("app", "threads", threads, note)
    else:
        ini.say("app", "gunicorn's default is one thread for each worker: threads = 1 has it so, if the application is WSGI")


def put_limits(ini, got):
    for name, most in (("limit_request_line", 65535), ("limit_request_field_size", 65535), ("limit_request_fields", 1000)):
        if name not in got:
            continue
        value = as_int(got[name])
        wide = value == 0 and name != "limit_request_fields" or value > most
        ini.set("http", name, most if wide else max(value, 1), f"{name} = {value}: this is the most" if wide else None)
    put_limit_of_all(ini, got)


def put_limit_of_all(ini, got):
    """gunicorn has no limit of all fields together: ours grows with what is asked of one."""
    largest = max((as_int(got[name]) or 65535 for name in ("limit_request_line", "limit_request_field_size") if name in got),
                  default=0)
    if largest > 8190:
        ini.set("http", "limit_request_head", f"{min(largest // 1024 * 8, 16384)}k", "the head of a request in all")


def put_environment(ini, got):
    for one in as_list(got.get("raw_env") if not isinstance(got.get("raw_env"), str) else [got["raw_env"]]):
        name, equals, value = one.partition("=")
        if name == "SCRIPT_NAME":
            ini.set("app", "root_path", value, "raw_env SCRIPT_NAME")
        else:
            ini.set("env", name, value.replace("$", "$$"))


def is_uvicorn(got):
    return "Uvicorn" in str(got.get("worker_class", ""))


def put_networks(ini, got):
    if "forwarded_allow_ips" not in got and os.environ.get("FORWARDED_ALLOW_IPS"):
        got = dict(got, forwarded_allow_ips=os.environ["FORWARDED_ALLOW_IPS"])
    allowed, note = as_list(got.get("forwarded_allow_ips", "127.0.0.1,::1")), None
    on_unix = any(bind_of(one).startswith("unix:") for one in as_list(got.get("bind")))
    if on_unix and "*" not in allowed and not is_uvicorn(got):
        allowed, note = [*allowed, "unix"], "gunicorn believes whoever connects to a Unix socket; without this line: only where its mode keeps strangers out"
    if note or "forwarded_allow_ips" in got:
        ini.set("http", "forwarded_allow_ips", ",".join(allowed), note)
    if "proxy_allow_ips" in got:
        ini.set("http", "proxy_allow_ips", ",".join(as_list(got["proxy_allow_ips"])))


def put_schemes(ini, got):
    """One field says the scheme here, X-Forwarded-Proto or X-Forwarded-Ssl; where gunicorn believes neither, none does."""
    name = "secure_scheme_headers"
    if name not in got and not is_uvicorn(got):
        ini.say("http", "X-Forwarded-Proto says the scheme; for a proxy that sets X-Forwarded-Ssl alone: forwarded_family = "
                        "x-forwarded-ssl")
    if name not in got:
        return
    fields = {str(k).upper(): str(v).lower() for k, v in dict(got[name] or {}).items()}
    if is_uvicorn(got):
        ini.skip(name, got[name], "the worker of uvicorn does not look at it: X-Forwarded-Proto counts")
    elif fields.get("X-FORWARDED-SSL") == "on" and fields.get("X-FORWARDED-PROTO") != "https":
        ini.set("http", "forwarded_family", "x-forwarded-ssl", f"{name} names X-Forwarded-Ssl")
        if fields.keys() - {"X-FORWARDED-SSL"}:
            ini.skip(name, got[name], "of these, X-Forwarded-Ssl is read: let the proxy set it")
    elif fields.pop("X-FORWARDED-PROTO", None) != "https":
        ini.set("http", "forwarded_family", "none", f"{name} does not name X-Forwarded-Proto")
        if fields:
            ini.skip(name, got[name], "let the proxy set X-Forwarded-Proto, and then http.forwarded_family = x-forwarded")
    elif fields.keys() - {"X-FORWARDED-PROTOCOL", "X-FORWARDED-SSL"}:
        ini.skip(name, got[name], "of these, X-Forwarded-Proto is read: let the proxy set it")


def put_header_map(ini, got):
    value = str(got.get("header_map", "drop")).lower()
    if value == "refuse":
        ini.skip("header_map", value, "fields whose name has an underscore are dropped: the request is served without them")
    elif value != "drop":
        ini.skip("header_map", value, "fields whose name has an underscore never reach a WSGI application, which could not tell "
                 "them from others: rename them in the proxy")


def put_cert_reqs(ini, got):
    names = {0: "none", 1: "optional", 2: "required", "CERT_NONE": "none", "CERT_OPTIONAL": "optional",
             "CERT_REQUIRED": "required"}
    if "cert_reqs" in got:
        value = got["cert_reqs"]
        value = int(value) if str(value).isdigit() or not isinstance(value, str) else value.rpartition(".")[2]
        ini.set("tls", "cert_reqs", names.get(value, value))


def put_syslog(ini, got):
    if not as_bool(got.get("syslog", False)):
        return
    address = str(got.get("syslog_addr", ""))
    path = address.removeprefix("unix://").partition("#")[0]
    where = f"syslog:{path}" if address.startswith("unix:///") else "syslog"
    for key in ("accesslog", "errorlog"):
        if got.get(key):
            ini.skip("syslog", True, f"a log goes to one place, here to log.{key}")
        else:
            ini.set("log", key, where)
    if address and not address.startswith("unix:///"):
        ini.skip("syslog_addr", address, "lines go to the daemon of this machine, which can forward them")


def put_others(ini, got):
    if "wsgi_app" in got:
        ini.set("app", "module", as_module(got["wsgi_app"], "application"))
    else:
        ini.sections["app"].append("# module: not in this file; name it here or, as for gunicorn, on the command line")
    if "workers" in got:
        ini.set("server", "workers", max(as_int(got["workers"]), 1))
    if "umask" in got:
        ini.set("server", "umask", format(as_int(got["umask"]), "o"))
    if as_bool(got.get("reuse_port", False)):
        ini.set("server", "accept", "reuseport")
    for path in as_list(got.get("reload_extra_files")):
        ini.set("server", "reload_extra_files", path)
    if got.get("pythonpath"):
        for path in as_list(got["pythonpath"]):
            ini.set("app", "pythonpath", path)
    if "loglevel" in got:
        ini.set("log", "loglevel", str(got["loglevel"]).lower())
    put_syslog(ini, got)
    if got.get("asgi_loop") not in (None, "auto"):
        ini.set("app", "loop", got["asgi_loop"])
    if "http_protocols" in got:
        ini.set("http", "http2", "h2" in as_list(got["http_protocols"]))
    if got.get("protocol") not in (None, "http"):
        ini.skip("protocol", got["protocol"], "only HTTP is spoken: let the proxy speak it")


BY_HAND = {"bind", "proxy_protocol", "http2_cleartext", "worker_class", "threads", "limit_request_line",
           "limit_request_fields", "limit_request_field_size", "raw_env", "forwarded_allow_ips", "proxy_allow_ips",
           "secure_scheme_headers", "cert_reqs", "wsgi_app", "workers", "umask", "reuse_port", "reload_extra_files",
           "pythonpath", "loglevel", "syslog", "syslog_addr", "asgi_loop", "http_protocols", "protocol", "header_map"}
BOOLS = {"reload", "preload_app", "daemon"}
# Where the value of a setting that is computed stands: setting -> ("section.key", ...).
COMPUTED = {name: (f"{section}.{key}",) for name, (section, key) in SAME.items()} | {
    "bind": ("server.bind",), "workers": ("server.workers",), "threads": ("app.threads",), "wsgi_app": ("app.module",),
    "umask": ("server.umask",), "forwarded_allow_ips": ("http.forwarded_allow_ips",), "loglevel": ("log.loglevel",),
    "proxy_allow_ips": ("http.proxy_allow_ips",), "pythonpath": ("app.pythonpath",),
}


def plain(got):
    """The settings of SAME as their keys take them."""
    same = {name: got[name] for name in SAME if got.get(name) is not None}
    for name in same:
        if name in BOOLS:
            same[name] = as_bool(same[name])
    if isinstance(same.get("statsd_host"), tuple):
        same["statsd_host"] = "%s:%s" % same["statsd_host"]
    if same.get("errorlog") == "":
        same["errorlog"] = "-"
    for name in ("statsd_prefix", "dogstatsd_tags"):
        if same.get(name) == "":
            del same[name]
    return same


def is_plain(name, value):
    return not name.startswith("_") and isinstance(value, (str, int, float, bool, list, tuple, dict))


def source_of(name):
    """The text of a configuration file, "" if it is a module."""
    if name.startswith("python:"):
        return ""
    with open(name.removeprefix("file:"), encoding="utf-8", errors="replace") as file:
        return file.read()


def read_file(name):
    """(settings, where the computed ones stand, names that gunicorn ignores)."""
    got, others = {}, []
    for key, value in run_file(name).items():
        if key in BY_HAND or key in SAME or key in WITHOUT or key in HOOKS or key in CALLED:
            got[key] = value
        elif is_plain(key, value):
            others.append(key)
    computed = {place: how for setting, how in computed_names(source_of(name)).items() for place in COMPUTED.get(setting, ())}
    return got, computed, others


def file_named(words, from_words, from_environment):
    """The configuration file that gunicorn reads: named, or there."""
    if words and not from_words:
        return words[0]
    for found in (from_words, from_environment):
        if found and found.get("config"):
            return found["config"]
    return "gunicorn.conf.py" if os.path.exists("gunicorn.conf.py") else None


def convert(words):
    words, is_line = split_words(words, "gunicorn")
    from_environment = read_words("gunicorn", OPTIONS, split_text(os.environ.get("GUNICORN_CMD_ARGS", ""), "GUNICORN_CMD_ARGS"),
                                  "GUNICORN_CMD_ARGS", "wsgi_app")
    from_words = read_words("gunicorn", OPTIONS, words, "gunicorn", "wsgi_app") if is_line else None
    name = file_named(words, from_words, from_environment)
    got, computed, others = read_file(name) if name else ({}, {}, [])
    for more in (from_environment, from_words or {}):
        got.update(more)
        for setting in more:
            for place in COMPUTED.get(setting, ()):
                computed.pop(place, None)
    got.pop("config", None)
    ini = Ini(computed)
    for put in (put_binds, put_class, put_limits, put_environment, put_networks, put_schemes, put_header_map, put_cert_reqs,
                put_others):
        put(ini, got)
    put_same(ini, SAME, plain(got))
    put_without(ini, WITHOUT, got)
    for key in got.keys() & HOOKS.keys():
        ini.left_out.append(f"# {key}(): no hooks; {HOOKS[key]}")
    called = [key for key in CALLED if key in got]
    if called and name:
        ini.set("app", "hooks", name[len("python:"):] if name.startswith("python:") else os.path.relpath(name.removeprefix("file:")))
        ini.left_out.append(f"# app.hooks: {', '.join(called)} of {os.path.basename(name)}, called in workers: see Hooks in tine(8)")
    if others:
        ini.left_out.append(f"# no settings of gunicorn, which ignores them: {', '.join(others)}")
    origin = os.path.basename(name) if name else "command line"
    if name and is_line:
        origin += " and command line"
    return ini.text(f"From gunicorn's {origin}; tine -c FILE -t checks it.")
