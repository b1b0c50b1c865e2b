# SPDX-License-Identifier: BSD-3-Clause
"""What the tests are made with: a server to start, clients that speak to it, and what the kernel says of its processes."""
