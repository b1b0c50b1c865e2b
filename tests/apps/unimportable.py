# SPDX-License-Identifier: BSD-3-Clause
"""Fails to import."""

raise ImportError("this module does not want to be imported")
