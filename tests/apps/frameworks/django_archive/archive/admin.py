# SPDX-License-Identifier: BSD-3-Clause
"""Documents in the admin's lists and forms."""

from django.contrib import admin

from .models import Document

admin.site.register(Document)
