# SPDX-License-Identifier: BSD-3-Clause
"""The admin alone."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
