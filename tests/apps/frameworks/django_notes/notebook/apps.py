# SPDX-License-Identifier: BSD-3-Clause
"""Makes this folder an application that may have models."""

from django.apps import AppConfig


class Notebook(AppConfig):
    name = "notebook"
