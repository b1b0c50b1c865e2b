# SPDX-License-Identifier: BSD-3-Clause
# import_uwsgi.py: what a uwsgi.ini of the usual kind, or a command line of uwsgi, comes to as a tine.ini.

import os
import re
import socket

from import_ini import Ini, Stop, as_bool, put_without, split_words

# Other names of an option, and its letters.
ALIASES = {
    "workers": "processes", "p": "processes", "w": "module", "wsgi": "module", "file": "wsgi-file", "H": "home",
    "virtualenv": "home", "venv": "home", "pyhome": "home", "pp": "pythonpath", "python-path": "pythonpath",
    "uwsgi-socket": "socket", "s": "socket", "l": "listen", "t": "harakiri", "R": "max-requests", "M": "master",
    "chmod": "chmod-socket", "C": "chmod-socket", "b": "buffer-size", "L": "disable-logging", "d": "daemonize",
    "daemonise": "daemonize", "logto2": "logto", "lazy": "lazy-apps", "single-interp": "single-interpreter", "i": "single-interpreter",
    "python-autoreload": "py-autoreload", "python-auto-reload": "py-autoreload", "py-auto-reload": "py-autoreload",
    "plugins": "plugin", "min-worker-lifetime": "min-worker-lifetime", "worker-reload-mercy": "reload-mercy",
    "http11-socket": "http-socket", "T": "enable-threads", "z": "socket-timeout",
}
# Without a value on a command line.
FLAGS = {"master", "vacuum", "die-on-term", "need-app", "enable-threads", "lazy-apps", "single-interpreter", "strict",
         "disable-logging", "no-default-app", "manage-script-name", "thunder-lock", "so-keepalive", "no-orphans",
         "http-keepalive", "auto-procname", "log-master", "threaded-logger", "ignore-sigpipe", "ignore-write-errors",
         "disable-write-exception", "memory-report", "wsgi-disable-file-wrapper", "http-auto-chunked"}

SAME = {
    "chdir": ("server", "chdir"), "pidfile": ("server", "pidfile"), "listen": ("server", "backlog"),
    "max-requests": ("server", "max_requests"), "max-requests-delta": ("server", "max_requests_jitter"),
    "max-worker-lifetime": ("server", "max_worker_lifetime"), "reload-mercy": ("server", "graceful_timeout"),
    "uid": ("server", "user"), "gid": ("server", "group"), "umask": ("server", "umask"),
    "chmod-socket": ("server", "socket_mode"), "procname-prefix": ("server", "proc_name"), "procname": ("server", "proc_name"),
    "home": ("app", "venv"), "http-timeout": ("http", "body_timeout"), "socket-timeout": ("http", "body_timeout"),
    "http-socket-timeout": ("http", "body_timeout"),
}

OWN = "run it as a service of its own"
ALWAYS = "always so"
WITHOUT = {
    "master": ALWAYS, "die-on-term": ALWAYS, "vacuum": ALWAYS, "need-app": ALWAYS, "no-orphans": ALWAYS, "thunder-lock": ALWAYS,
    "enable-threads": ALWAYS, "so-keepalive": "see server.tcp_keepalive", "strict": "unknown keys are always refused",
    "plugin": "nothing has to be loaded", "single-interpreter": "see app.interpreter", "ini": "this file",
    "lazy-apps": "each worker loads the application, unless app.preload_app = true",
    "no-default-app": "a path without an application is 404", "manage-script-name": "each mount gets its own SCRIPT_NAME",
    "post-buffering": "see app.spool", "offload-threads": "files are sent without the application",
    "check-static": "name the prefix: [static:/prefix]", "touch-reload": "tinectl reload, or server.reload_extra_files",
    "py-tracebacker": "tinectl stacks", "stats": "see metrics.bind", "stats-server": "see metrics.bind",
    "stats-http": "see metrics.bind", "master-fifo": "see control.socket and tinectl", "log-format": "see log.access_log_format",
    "logformat": "see log.access_log_format", "log-date": "times are always written", "log-master": ALWAYS,
    "threaded-logger": ALWAYS, "log-maxsize": "use logrotate and tinectl reopen",
    "log-reopen": "tinectl reopen", "log-x-forwarded-for": "see http.forwarded_family",
    "cheaper": "the number of workers is fixed: tinectl scale", "cheaper-initial": "tinectl scale",
    "cheaper-algo": "tinectl scale", "cheaper-step": "tinectl scale", "cheap": "tinectl scale", "idle": "tinectl scale",
    "spooler": OWN, "mule": OWN, "mules": OWN, "cron": OWN, "cron2": OWN, "attach-daemon": OWN, "smart-attach-daemon": OWN,
    "emperor": "one service for each application: systemd, tine@.service", "ignore-sigpipe": ALWAYS,
    "ignore-write-errors": ALWAYS, "disable-write-exception": "see http.write_timeout", "auto-procname": ALWAYS,
    "harakiri-verbose": "a request that is too slow is always logged with the stack", "memory-report": "see metrics.bind",
    "http-keepalive": "see http.keepalive", "http-auto-chunked": ALWAYS, "http-processes": "every worker accepts",
    "http-to": "there is no router", "reload-on-as": "see server.max_worker_memory",
    "evil-reload-on-rss": "see server.max_worker_memory", "chown-socket": "the owner of Unix sockets is that of the master",
    "safe-pidfile": "see server.pidfile", "socket-send-timeout": "see http.write_timeout",
    "min-worker-lifetime": "see server.max_worker_lifetime", "wsgi-disable-file-wrapper": "the file wrapper is always safe to use",
}


# --- the file ---

def magic(letter, path):
    base = os.path.basename(path)
    return {"p": path, "d": os.path.dirname(path) + "/", "s": base, "n": base.rpartition(".")[0] or base,
            "h": socket.gethostname(), "k": str(os.cpu_count()), "%": "%"}.get(letter)


def expand(text, path, known, where):
    def replace(match):
        name, variable, letter = match.groups()
        if variable is not None:
            found = os.environ.get(variable)
        else:
            found = known.get(name) if name is not None else magic(letter, path)
        if found is None:
            raise Stop(f"{where}: {match.group(0)} has no value here")
        return found
    return re.sub(r"%\(([^)]*)\)|\$\(([^)]*)\)|%([a-zA-Z%])", replace, text)


def read_ini(name):
    """[(option, value)] of the section [uwsgi]."""
    path, pairs, known, here = os.path.abspath(name), [], {}, False
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as e:
        raise Stop(f"{name}: {e.strerror}") from None
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if line.startswith("["):
            here = line == "[uwsgi]"
        elif line and line[0] not in ";#" and here:
            key, equals, value = (one.strip() for one in line.partition("="))
            value = expand(value, path, known, f"{name}:{number}") if equals else "true"
            known[key] = value
            pairs.append((ALIASES.get(key, key), value))
    if not pairs:
        raise Stop(f"{name}: nothing in a section [uwsgi]")
    return pairs


def read_line(words):
    pairs, words = [], list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            if word.endswith(".ini"):
                pairs += read_ini(word)
            else:
                pairs.append(("socket" if ":" in word else "wsgi-file", word))
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("--") and len(name) > 1:
            name, equals, value = name[0], "=", word[2:]
        name = ALIASES.get(name, name)
        if not equals:
            value = "true" if name in FLAGS else words.pop(0) if words else "true"
        pairs += read_ini(value) if name == "ini" else [(name, value)]
    return pairs


# --- what it means ---

def address(text):
    if text.startswith("/") or text.startswith("./") or ":" not in text:
        return f"unix:{text}"
    host, _, port = text.rpartition(":")
    return f"{host if host not in ('', '*') else '0.0.0.0'}:{port}"


def put_binds(ini, all_of):
    for name in ("http", "http-socket"):
        for text in all_of(name):
            ini.set("server", "bind", address(text))
    for name in ("https", "https-socket"):
        for text in all_of(name):
            where, cert, key = (text.split(",") + ["", ""])[:3]
            ini.set("server", "bind", address(where) + " tls")
            ini.set("tls", "certfile", cert)
            ini.set("tls", "keyfile", key)
    with_router = all_of("http") or all_of("https")
    for name in ("socket", "fastcgi-socket", "scgi-socket"):
        for text in all_of(name):
            if with_router:
                ini.skip(name, text, "HTTP reaches the workers without a router")
            else:
                ini.set("server", "bind", address(text),
                        f"HTTP, not the protocol of {name}: proxy_pass instead of uwsgi_pass in nginx, with X-Forwarded-For and "
                        "X-Forwarded-Proto")


def put_trust(ini, all_of):
    """uwsgi believes what its protocol says; over HTTP it believes X-Forwarded-Proto of anybody, and X-Forwarded-For of nobody."""
    if any(address(text).startswith("unix:") for name in ("socket", "http-socket") for text in all_of(name)):
        ini.set("http", "forwarded_allow_ips", "127.0.0.1,::1,unix", "the proxy says who the client is, and the scheme")
    if all_of("http") or all_of("http-socket") or all_of("https") or all_of("https-socket"):
        ini.say("http", "uwsgi takes X-Forwarded-Proto from anybody; here it counts from http.forwarded_allow_ips, as does "
                        "X-Forwarded-For")


def module_of(all_of):
    callable_name = (all_of("callable") or ["application"])[-1]
    if all_of("module"):
        module = all_of("module")[-1]
        return module if ":" in module else f"{module}:{callable_name}"
    if all_of("wsgi-file"):
        return f"{all_of('wsgi-file')[-1]}:{callable_name}"
    return None


def put_app(ini, all_of):
    module = module_of(all_of)
    if module:
        ini.set("app", "module", module)
    ini.set("app", "interface", "wsgi")
    threads = int((all_of("gevent") or all_of("threads") or [1])[-1])
    if all_of("gevent"):
        ini.set("app", "loop", "gevent")
    ini.set("app", "threads", threads, "greenlets" if all_of("gevent") else None)
    for text in all_of("pythonpath"):
        ini.set("app", "pythonpath", text)
    for text in all_of("mount"):
        prefix, _, target = text.partition("=")
        if not prefix.strip("/"):
            ini.set("app", "module", target if ":" in target else f"{target}:application")
            continue
        section = f"mount:{prefix}"
        ini.set(section, "module", target if ":" in target else f"{target}:{(all_of('callable') or ['application'])[-1]}")
        ini.set(section, "interface", "wsgi")
    for text in all_of("env"):
        name, _, value = text.partition("=")
        ini.set("env", name, value.replace("$", "$$"))
    for text in all_of("static-map"):
        prefix, _, folder = text.partition("=")
        ini.set(f"static:{prefix.rstrip('/')}", "dir", folder)


def put_logs(ini, all_of):
    where = (all_of("daemonize") or all_of("logto") or [None])[-1]
    if all_of("daemonize"):
        ini.set("server", "daemon", True)
    if where:
        ini.set("log", "errorlog", where)
    if not any(as_bool(one) for one in all_of("disable-logging")):
        ini.set("log", "accesslog", where or "-", "uwsgi logs requests unless disable-logging is set")


def put_others(ini, all_of):
    number = (all_of("processes") or ["1"])[-1]
    ini.set("server", "workers", "auto" if number.startswith("%") else max(int(number), 1))
    if all_of("reload-on-rss"):
        ini.set("server", "max_worker_memory", f"{all_of('reload-on-rss')[-1]}m")
    if all_of("harakiri") and int(all_of("harakiri")[-1]):
        ini.set("http", "request_timeout", all_of("harakiri")[-1], "harakiri: the client gets 504")
    if all_of("buffer-size"):
        ini.set("http", "limit_request_head", max(int(all_of("buffer-size")[-1]), 1024))
    if all_of("limit-post"):
        ini.set("http", "limit_request_body", all_of("limit-post")[-1])
    if all_of("py-autoreload"):
        ini.set("server", "reload", int(all_of("py-autoreload")[-1]) > 0)


BY_HAND = {"http", "http-socket", "https", "https-socket", "socket", "fastcgi-socket", "scgi-socket", "callable", "module",
           "wsgi-file", "threads", "gevent", "pythonpath", "mount", "env", "static-map", "daemonize", "logto",
           "disable-logging", "processes", "reload-on-rss", "harakiri", "buffer-size", "limit-post", "py-autoreload"}


def convert(words):
    words, is_line = split_words(words, "uwsgi")
    pairs = read_line(words) if is_line else read_ini(words[0])
    got = {}
    for key, value in pairs:
        got.setdefault(key, []).append(value)
    ini = Ini()
    for put in (put_binds, put_trust, put_app, put_logs, put_others):
        put(ini, lambda name: got.get(name, []))
    for key, (section, name) in SAME.items():
        if key in got:
            ini.set(section, name, got[key][-1])
    put_without(ini, WITHOUT, {key: values[-1] for key, values in got.items()})
    for key in got.keys() - SAME.keys() - WITHOUT.keys() - BY_HAND:
        ini.skip(key, got[key][-1], "no counterpart is known; uwsgi itself may only have kept it as a name for %(...)")
    origin = "command line" if is_line else os.path.basename(words[0])
    return ini.text(f"From uwsgi's {origin}; tine -c FILE -t checks it.")
