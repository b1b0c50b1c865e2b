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
