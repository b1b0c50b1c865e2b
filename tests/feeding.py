# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.feeding, for test files that still import it."""
import lib.feeding

globals().update({k: v for module in (lib.feeding,) for k, v in vars(module).items() if not k.startswith("_")})
