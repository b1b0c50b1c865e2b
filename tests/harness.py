# SPDX-License-Identifier: BSD-3-Clause
"""The old name of lib.build, lib.waiting, lib.procfs, lib.sockets, lib.client, lib.server, for test files that still import it."""
import lib.build, lib.waiting, lib.procfs, lib.sockets, lib.client, lib.server

globals().update({k: v for module in (lib.build, lib.waiting, lib.procfs, lib.sockets, lib.client, lib.server,) for k, v in vars(module).items() if not k.startswith("_")})
