# SPDX-License-Identifier: BSD-3-Clause
"""The importers' own tables, for tests that compare them with another server's."""

import importlib
import os
import sys

FOLDER = os.path.join(os.path.dirname(__file__), "../../worker/app")


def importer(server):
    sys.path.insert(0, FOLDER)
    try:
        return importlib.import_module(f"import_{server}")
    finally:
        sys.path.remove(FOLDER)


def keys_of(ini):
    """Each "section.key" of what an importer has printed, and its value, or a list of them if it stands there several times."""
    keys, section = {}, ""
    for line in ini.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition(" = ")
            keys.setdefault(f"{section}.{key}", []).append(value)
    return {k: v[0] if len(v) == 1 else v for k, v in keys.items()}
