# SPDX-License-Identifier: BSD-3-Clause
"""A Django project as most are: admin, static files, uploads."""
