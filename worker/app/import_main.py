# SPDX-License-Identifier: BSD-3-Clause
# import_main.py: chooses the importer. Run in a process that does nothing else: a configuration that is Python may do what
# it likes to its interpreter.

import sys

from import_ini import Stop


def main(server, words):
    """(True, the text), or (False, what is wrong)."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what a file prints is not the answer
    try:
        return True, __import__(f"import_{server}").convert(words)
    except Stop as e:
        return False, str(e)
    except SystemExit as e:
        return False, f"{words[0] if words else server}: the file ended itself by sys.exit({e.code!r})"
    finally:
        sys.stdout = out
