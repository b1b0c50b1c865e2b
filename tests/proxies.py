# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.proxies, for test files that still import it."""
import lib.proxies

globals().update({k: v for module in (lib.proxies,) for k, v in vars(module).items() if not k.startswith("_")})
