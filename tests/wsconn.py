# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.ws, for test files that still import it."""
import lib.ws

globals().update({k: v for module in (lib.ws,) for k, v in vars(module).items() if not k.startswith("_")})
