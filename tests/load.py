# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.load, for test files that still import it."""
import lib.load

globals().update({k: v for module in (lib.load,) for k, v in vars(module).items() if not k.startswith("_")})
