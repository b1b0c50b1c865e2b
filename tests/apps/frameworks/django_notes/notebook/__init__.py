# SPDX-License-Identifier: BSD-3-Clause
"""The notebook with Django: settings, an ASGI entry, models, plain and async views."""
