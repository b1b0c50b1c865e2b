# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.tls, for test files that still import it."""
import lib.tls

globals().update({k: v for module in (lib.tls,) for k, v in vars(module).items() if not k.startswith("_")})
