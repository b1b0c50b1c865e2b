# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.certs, for test files that still import it."""
import lib.certs

globals().update({k: v for module in (lib.certs,) for k, v in vars(module).items() if not k.startswith("_")})
