# SPDX-License-Identifier: BSD-3-Clause
# import_ini.py: what the importers share: the words of another server's command line, and the tine.ini that is written.
# Values are written as they are meant; whether this Tine takes each is for the caller to check.
# Must never leave a setting out without a word.

import argparse
import ast
import os
import shlex

ORDER = ("server", "app", "env", "http", "websocket", "tls", "log", "metrics")


class Stop(Exception):
    """A mistake of the one who asked, told without a traceback."""


class Ini:
    """Sections with lines, and what was left out. `computed` has "section.key" -> the expression that gave its value."""

    def __init__(self, computed=None):
        self.sections = {name: [] for name in ORDER}
        self.left_out = []
        self.computed = dict(computed or {})

    def set(self, section, key, value, note=None):
        if isinstance(value, bool):
            value = "true" if value else "false"
        text = str(value)
        lines = self.sections.setdefault(section, [])
        if note:
            lines.append(f"# {note}")
        expression = self.computed.pop(f"{section}.{key}", None)
        if expression:
            lines.append(f"# computed when this was written: {expression}")
        broken = "\n" in text or text != text.strip() or " ;" in text or text[:1] in (";", '"')
        if broken:
            lines.append(f"# {section}.{key}: this cannot stand in an INI file: {text!r}")
        else:
            lines.append(f"{key} = {text}")

    def say(self, section, text):
        self.sections[section].append(f"# {text}")

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


# --- words ---

def split_words(words, program):
    """(the words after the program's name, whether these are a command line): one word alone may be a file.
    NAME=VALUE before the program goes to the environment, as a shell has it."""
    if len(words) == 1 and not os.path.exists(words[0]) and len(words[0].split()) > 1:
        try:
            words = shlex.split(words[0])
        except ValueError as e:
            raise Stop(f"{words[0]!r} is no command line: {e}") from None
    words = list(words)
    at = 0
    while at < len(words) and "=" in words[at] and words[at].partition("=")[0].isidentifier():
        at += 1
    named = words[at:at + 1] and os.path.basename(words[at]) == program
    module = words[at + 1:at + 3] == ["-m", program]
    if not named and not module:
        return words, len(words) != 1 or words[0].startswith("-")
    for one in words[:at]:
        name, _, value = one.partition("=")
        os.environ[name] = value
    return words[at + (3 if module else 1):], True


def split_text(text, origin):
    try:
        return shlex.split(text)
    except ValueError as e:
        raise Stop(f"{origin}: {e}") from None


def read_words(program, options, words, origin, positional=None):
    """The settings in the words. options: {names: (setting, action, type)}; actions are those of argparse, and "maybe" for
    an option whose value may be missing."""
    class Parser(argparse.ArgumentParser):
        def error(self, message):
            raise Stop(f"{origin}: {message}")
    parser = Parser(prog=program, add_help=False, argument_default=argparse.SUPPRESS, allow_abbrev=program == "gunicorn")
    for names, (setting, action, kind) in options.items():
        if action in ("store_true", "store_false"):
            parser.add_argument(*names, dest=setting, action=action)
        elif action == "maybe":
            parser.add_argument(*names, dest=setting, nargs="?", const=True, type=kind)
        else:
            parser.add_argument(*names, dest=setting, action=action, type=kind)
    found, rest = parser.parse_known_intermixed_args(words)
    unknown = [word for word in rest if word.startswith("-") and word != "-"]
    if unknown:
        raise Stop(f"{origin}: {program} has no option {unknown[0]}")
    found = vars(found)
    if rest and positional:
        found[positional] = rest[0]
    return found


def read_environment(prefix, options):
    """Settings from PREFIX_SETTING, as click and others take them."""
    found = {}
    for setting, action, kind in options.values():
        text = os.environ.get(f"{prefix}_{setting.upper()}")
        if text is None or f"{prefix}_{setting.upper()}_SERVICE_HOST" in os.environ or "://" in text and setting == "port":
            continue
        if action in ("store_true", "store_false"):
            found[setting] = as_bool(text)
        else:
            try:
                found[setting] = text.split() if action == "append" else kind(text)
            except ValueError as e:
                raise Stop(f"environment {prefix}_{setting.upper()}: {e}") from None
    return found


# --- values ---

def as_list(value):
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split(",")
    return [str(one).strip() for one in value if str(one).strip()]


def as_bool(value):
    return value.strip().lower() in ("true", "1", "yes", "on", "t", "y") if isinstance(value, str) else bool(value)


def as_int(value):
    return int(value, 0) if isinstance(value, str) else int(value)


def as_module(text, default):
    """MODULE:ATTR; a module alone is one with the attribute that the server takes then."""
    return text if ":" in text else f"{text}:{default}"


def bind_of(text):
    text = text.removeprefix("tcp://").strip("/") if not text.startswith(("unix:", "fd://")) else text
    if text.startswith("unix://"):
        text = "unix:" + text[7:]
    if text.startswith(("unix:", "fd://")):
        return text
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and text.endswith("]") or not colon:
        return f"{text}:8000"
    return address_of(host, port)


def address_of(host, port):
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{host or '0.0.0.0'}:{port}"


def put_same(ini, same, got):
    """Each setting that has the same meaning under another name: {setting: (section, key)}."""
    for name, (section, key) in same.items():
        if got.get(name) is not None:
            ini.set(section, key, got[name])


def put_without(ini, without, got):
    for name, value in got.items():
        if name in without:
            ini.skip(name, value, without[name])


def computed_names(text):
    """Names that the file gives a value which depends on the machine or on the environment: name -> how."""
    found, seen = {}, set()
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign))]
    for node in sorted(nodes, key=lambda node: node.lineno):
        if node.value is None:
            continue
        source = " ".join((ast.get_source_segment(text, node.value) or "").split())
        constant = is_constant(node.value) and not isinstance(node, ast.AugAssign)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and (not constant or target.id in seen):
                found[target.id] = f"{target.id} = {source if len(source) < 90 else source[:87] + '...'}"
            seen.add(getattr(target, "id", None))
    return found


def is_constant(node):
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return isinstance(node, ast.Attribute) and ast.unparse(node).startswith("ssl.")
    return True
