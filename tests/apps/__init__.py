# SPDX-License-Identifier: BSD-3-Clause
"""Small applications for the tests, one behaviour each; tests/ is in their sys.path."""
