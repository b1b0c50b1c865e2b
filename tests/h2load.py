# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.h2load, for test files that still import it."""
import lib.h2load

globals().update({k: v for module in (lib.h2load,) for k, v in vars(module).items() if not k.startswith("_")})
