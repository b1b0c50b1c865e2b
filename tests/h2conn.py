# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.h2frames, lib.h2, for test files that still import it."""
import lib.h2frames, lib.h2

globals().update({k: v for module in (lib.h2frames, lib.h2,) for k, v in vars(module).items() if not k.startswith("_")})
