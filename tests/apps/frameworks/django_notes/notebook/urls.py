# SPDX-License-Identifier: BSD-3-Clause
"""Addresses of the notebook."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.index), path("notes", views.notes), path("notes/<int:number>", views.note),
    path("upload", views.upload), path("raw", views.raw_upload), path("stream/<name>", views.stream),
    path("release/<name>", views.release), path("meet", views.meet), path("jobs", views.jobs),
    path("jobs/<int:number>", views.job), path("old", views.old), path("file", views.file), path("boom", views.boom),
]
handler404 = views.not_found
handler500 = views.server_error
