# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.h2frames, lib.h2attacks, for test files that still import it."""
import lib.h2frames, lib.h2attacks

globals().update({k: v for module in (lib.h2frames, lib.h2attacks,) for k, v in vars(module).items() if not k.startswith("_")})
