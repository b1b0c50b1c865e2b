# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.watched, for test files that still import it."""
import lib.watched

globals().update({k: v for module in (lib.watched,) for k, v in vars(module).items() if not k.startswith("_")})
