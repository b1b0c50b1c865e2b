# SPDX-License-Identifier: BSD-3-Clause
"""Finds the application that [app] module names, and says what kind it is. Run inside the worker's interpreter."""
import ast
import importlib
import importlib.util
import inspect
import os
import re
import sys


class ApplicationNotFound(Exception):
    """What was named is not there; the text tells a person what to do."""


def _import_file(path):
    # An application that was loaded before this one may have changed the working folder.
    path = os.path.abspath(os.path.join(sys.modules["_tine_interp"].FOLDER, path))
    if not os.path.isfile(path):
        raise ApplicationNotFound("there is no file %s" % path)
    name = os.path.splitext(os.path.basename(path))[0]
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == path:
        return loaded
    if name.isidentifier() and name not in sys.modules:
        found = importlib.util.find_spec(name)
        if found is not None and found.origin and os.path.abspath(found.origin) == path:
            return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _import(name):
    if name.endswith(".py") or os.sep in name:
        return _import_file(name)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # only when the application's own module is missing, not one that it imports
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise ApplicationNotFound(
                "no module named %r in %s; run tine in the project's folder, or set [server] chdir or [app] pythonpath"
                % (error.name, ", ".join(repr(p) for p in sys.path[:3]))
            ) from None
        raise


def _attribute(module, name, path):
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = [n for n in vars(module) if n.lower() in ("app", "application", "asgi", "create_app", "make_app")]
            hint = "; did you mean %s?" % " or ".join("%s:%s" % (name, n) for n in near) if near else ""
            raise ApplicationNotFound("module %r has no attribute %r%s" % (name, path, hint)) from None
    return found


def _kind(found):
    name = type(found).__name__
    return "%s %s" % ("an" if name[0] in "aeiouAEIOU" else "a", name)


def _arguments(text, call):
    """(args, kwargs) of "(...)": literals only, nothing is evaluated."""
    try:
        found = ast.parse("f" + call, mode="eval").body
        if not isinstance(found, ast.Call) or not isinstance(found.func, ast.Name):
            raise ValueError
        if any(keyword.arg is None for keyword in found.keywords):
            raise ValueError
        return ([ast.literal_eval(one) for one in found.args],
                {keyword.arg: ast.literal_eval(keyword.value) for keyword in found.keywords})
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ApplicationNotFound(
            "%s: a factory's arguments are literals, as in factory('x', debug=False)" % text
        ) from None


def load(text):
    """The object that "pkg.mod:attr", "pkg.mod:factory()", "pkg.mod:factory('x', n=1)" or "dir/file.py:attr" names."""
    # the first colon after which all is an attribute, with or without arguments: these may have colons too
    match = re.match(r"(.*?):([^\W\d][\w.]*)(\(.*\))?\Z", text, re.DOTALL)
    if match:
        name, path, call = match.groups()
        colon = ":"
    else:
        name, colon, path = text.rpartition(":") if ":" in text else (text, "", "")
        call = None
    module = _import(name)
    if not colon:
        for path in ("app", "application"):
            if hasattr(module, path):
                break
        else:
            raise ApplicationNotFound(
                "module %r has neither app nor application: name the attribute as %s:NAME" % (name, name)
            )
    args, kwargs = _arguments(text, call) if call else ((), {})
    found = _attribute(module, name, path)
    if call:
        found = found(*args, **kwargs)
    if not callable(found):
        raise ApplicationNotFound("%s is %s, which cannot be called" % (text, _kind(found)))
    return found


def _positional(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return None
    return sum(1 for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty)


def _wrapped(app):
    """What a wrapper that takes any arguments calls, as far as that can be seen."""
    found = [getattr(app, "func", None), *(getattr(cell, "cell_contents", None) for cell in _cells(app))]
    return [object for object in found if callable(object) and object is not app]


def _cells(app):
    for cell in getattr(app, "__closure__", None) or ():
        try:
            cell.cell_contents
        except ValueError:  # not set yet
            continue
        yield cell


def detect(app, depth=4):
    """"asgi", "asgi2", "wsgi", or None when it looks like none of them."""
    if inspect.isclass(app):
        if hasattr(app, "__await__"):
            return "asgi"
        wanted = _positional(app)
        return "asgi2" if wanted is None else {1: "asgi2", 2: "wsgi", 3: "asgi"}.get(wanted)
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None)):
        return "asgi"
    wanted = _positional(app)
    if wanted is None:
        kinds = {detect(inner, depth - 1) for inner in _wrapped(app)} - {None} if depth else set()
        return kinds.pop() if len(kinds) == 1 else "asgi"
    return {1: "asgi2", 2: "wsgi", 3: "asgi"}.get(wanted)


def configure_logging(path):
    """log.logconfig. Loggers that are there already stay, unless the file says otherwise."""
    import logging.config
    try:
        if path.endswith((".json", ".toml")):
            with open(path, "rb") as file:
                if path.endswith(".json"):
                    import json
                    config = json.load(file)
                else:
                    import tomllib
                    config = tomllib.load(file)
            logging.config.dictConfig({"disable_existing_loggers": False, **config})
        else:
            with open(path):
                pass
            logging.config.fileConfig(path, disable_existing_loggers=False)
    except Exception as error:
        raise RuntimeError(f"log.logconfig {path}: {error}") from error
    logging.getLogger("tine").propagate = True
