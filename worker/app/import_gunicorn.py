# SPDX-License-Identifier: BSD-3-Clause
# import_gunicorn.py: what a gunicorn.conf.py comes to as a tine.ini. convert() runs the file, adds GUNICORN_CMD_ARGS and
# returns the text. Values are written as they are meant; whether this Tine takes each is for the caller to check.
# Must never leave a setting out without a word.

import argparse
import os
import shlex
import sys

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
    "errorlog": ("log", "errorlog"), "statsd_host": ("metrics", "statsd"), "keyfile": ("tls", "keyfile"),
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
    "dogstatsd_tags": "tags are for the collector to add", "statsd_prefix": "names are Tine's own",
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
    "header_map": "fields whose name has an underscore never reach a WSGI application",
    "asgi_disconnect_grace_period": "an application is told of a disconnect, and not cancelled",
    "http_parser": "there is one parser", "control_socket": "another protocol: see control.socket and tinectl",
    "control_socket_mode": "see control.mode", "control_socket_disable": "there is no control socket unless it is named",
    "dirty_apps": DIRTY, "dirty_workers": DIRTY, "dirty_timeout": DIRTY, "dirty_threads": DIRTY,
    "dirty_graceful_timeout": DIRTY,
}

LIFESPAN = "ASGI: the application's lifespan start-up; WSGI: when its module is loaded, once in each worker"
EXEC = "watch the log, the service manager's messages, or run tine in a script"
HOOKS = {
    "on_starting": EXEC, "on_reload": EXEC, "when_ready": "READY=1 to the service manager says so",
    "pre_fork": LIFESPAN, "post_fork": LIFESPAN, "post_worker_init": LIFESPAN,
    "worker_int": "ASGI: lifespan shut-down; WSGI: atexit", "worker_exit": "ASGI: lifespan shut-down; WSGI: atexit",
    "worker_abort": "a worker that hangs is reported in the log with the stack of each thread",
    "pre_exec": EXEC, "pre_request": "a middleware of the application",
    "post_request": "a middleware of the application, or the access log", "child_exit": EXEC,
    "nworkers_changed": EXEC, "on_exit": EXEC, "ssl_context": "see the section [tls]",
    "on_dirty_starting": DIRTY, "dirty_post_fork": DIRTY, "dirty_worker_init": DIRTY, "dirty_worker_exit": DIRTY,
}

ORDER = ("server", "app", "env", "http", "websocket", "tls", "log", "metrics")
WSGI_CLASSES = ("sync", "gthread", "eventlet", "gevent", "gevent_wsgi", "gevent_pywsgi", "tornado")


class Stop(Exception):
    """A mistake of the one who asked, told without a traceback."""


class Ini:
    """Sections with lines, and what was left out."""

    def __init__(self):
        self.sections = {name: [] for name in ORDER}
        self.left_out = []

    def set(self, section, key, value, note=None):
        if isinstance(value, bool):
            value = "true" if value else "false"
        text = str(value)
        if note:
            self.sections[section].append(f"# {note}")
        broken = "\n" in text or text != text.strip() or " ;" in text or text[:1] in (";", '"')
        if broken:
            self.sections[section].append(f"# {section}.{key}: this cannot stand in an INI file: {text!r}")
        else:
            self.sections[section].append(f"{key} = {text}")

    def skip(self, name, value, why):
        shown = repr(value)
        self.left_out.append(f"# {name} = {shown if len(shown) < 60 else shown[:57] + '...'}: {why}")

    def text(self, origin):
        lines = [f"# {origin}"]
        for name, content in self.sections.items():
            if content:
                lines += ["", f"[{name}]", *content]
        if self.left_out:
            lines += ["", "# Left out:", *self.left_out]
        return "\n".join(line.replace("\r", "\\r") for line in lines) + "\n"


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


def read_options(text):
    """The settings of GUNICORN_CMD_ARGS."""
    class Parser(argparse.ArgumentParser):
        def error(self, message):
            raise Stop(f"GUNICORN_CMD_ARGS: {message}")
    parser = Parser(prog="gunicorn", add_help=False, argument_default=argparse.SUPPRESS)
    for names, (setting, action, kind) in OPTIONS.items():
        if action in ("store_true", "store_false"):
            parser.add_argument(*names, dest=setting, action=action)
        elif action == "maybe":
            parser.add_argument(*names, dest=setting, nargs="?", const=True, type=kind)
        else:
            parser.add_argument(*names, dest=setting, action=action, type=kind)
    parser.add_argument("args", nargs="*")
    found = vars(parser.parse_args(shlex.split(text)))
    args = found.pop("args", [])
    if args:
        found["wsgi_app"] = args[0]
    return found


# --- value by value ---

def as_list(value):
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split(",")
    return [str(one).strip() for one in value if str(one).strip()]


def as_bool(value):
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def as_int(value):
    return int(value, 0) if isinstance(value, str) else int(value)


def bind_of(text):
    text = text.removeprefix("tcp://").strip("/") if not text.startswith(("unix:", "fd://")) else text
    if text.startswith("unix://"):
        text = "unix:" + text[7:]
    if text.startswith(("unix:", "fd://")):
        return text
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and text.endswith("]") or not colon:
        return f"{text}:8000"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{host or '0.0.0.0'}:{port}"


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
    name = value if isinstance(value, str) else f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"
    threads = as_int(got.get("threads", 1))
    short = name.rpartition(".")[2]
    if name == "asgi" or short in ("UvicornWorker", "UvicornH11Worker"):
        ini.set("app", "interface", "asgi", f"worker_class = {name}")
        return
    if name not in WSGI_CLASSES and not name.startswith("gunicorn.workers."):
        ini.skip("worker_class", name, "unknown; app.interface is found out when the application is loaded")
        if "threads" in got:
            ini.set("app", "threads", threads)
        return
    note = None
    if name.rpartition(".")[2] not in ("sync", "gthread", "SyncWorker", "ThreadWorker"):
        note = (f"worker_class = {name}: the application runs in threads instead; as many requests as these can wait at a "
                "time")
        threads = max(threads, 32)
    ini.set("app", "interface", "wsgi")
    ini.set("app", "threads", threads, note)


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
    """Only X-Forwarded-Proto is read here; where gunicorn would not believe it, nothing is believed."""
    name = "secure_scheme_headers"
    if name not in got:
        return
    fields = {str(k).upper(): str(v).lower() for k, v in dict(got[name] or {}).items()}
    if is_uvicorn(got):
        ini.skip(name, got[name], "the worker of uvicorn does not look at it: X-Forwarded-Proto counts")
    elif fields.pop("X-FORWARDED-PROTO", None) != "https":
        ini.set("http", "forwarded_family", "none", f"{name} does not name X-Forwarded-Proto")
        if fields:
            ini.skip(name, got[name], "let the proxy set X-Forwarded-Proto, and then http.forwarded_family = x-forwarded")
    elif fields.keys() - {"X-FORWARDED-PROTOCOL", "X-FORWARDED-SSL"}:
        ini.skip(name, got[name], "of these, X-Forwarded-Proto is read: let the proxy set it")


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
    if got.get("accesslog"):
        ini.skip("syslog", True, "the access log goes to one place, here to log.accesslog")
        return
    address = str(got.get("syslog_addr", ""))
    path = address.removeprefix("unix://").partition("#")[0]
    ini.set("log", "accesslog", f"syslog:{path}" if address.startswith("unix:///") else "syslog")
    if address and not address.startswith("unix:///"):
        ini.skip("syslog_addr", address, "lines go to the daemon of this machine, which can forward them")


def put_others(ini, got):
    if "wsgi_app" in got:
        module = got["wsgi_app"]
        ini.set("app", "module", module if ":" in module else f"{module}:application")
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
           "pythonpath", "loglevel", "syslog", "syslog_addr", "asgi_loop", "http_protocols", "protocol"}
BOOLS = {"reload", "preload_app", "daemon"}


def put_same(ini, got):
    for name, (section, key) in SAME.items():
        value = got.get(name)
        if name not in got or value is None:
            continue
        if name in BOOLS:
            value = as_bool(value)
        if name == "statsd_host" and isinstance(value, tuple):
            value = "%s:%s" % value
        if name == "errorlog" and value == "":
            value = "-"
        ini.set(section, key, value)


def is_plain(name, value):
    return not name.startswith("_") and isinstance(value, (str, int, float, bool, list, tuple, dict))


def convert(name):
    got = {}
    others = []
    if name:
        for key, value in run_file(name).items():
            if key in BY_HAND or key in SAME or key in WITHOUT or key in HOOKS:
                got[key] = value
            elif is_plain(key, value):
                others.append(key)
    got.update(read_options(os.environ.get("GUNICORN_CMD_ARGS", "")))
    ini = Ini()
    for put in (put_binds, put_class, put_limits, put_environment, put_networks, put_schemes, put_cert_reqs, put_others,
                put_same):
        put(ini, got)
    for key, value in got.items():
        if key in WITHOUT:
            ini.skip(key, value, WITHOUT[key])
        elif key in HOOKS:
            ini.left_out.append(f"# {key}(): no hooks; {HOOKS[key]}")
    if others:
        ini.left_out.append(f"# no settings of gunicorn, which ignores them: {', '.join(others)}")
    return ini.text(f"From gunicorn's {os.path.basename(name)}; tine -c FILE -t checks it.")


def main(name):
    """(True, the text), or (False, what is wrong)."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what the file prints is not the answer
    try:
        return True, convert(name)
    except Stop as e:
        return False, str(e)
    except SystemExit as e:
        return False, f"{name}: the file ended itself by sys.exit({e.code!r})"
    finally:
        sys.stdout = out
