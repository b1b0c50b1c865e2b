# SPDX-License-Identifier: BSD-3-Clause
"""Two tables."""

from django.db import models


class Note(models.Model):
    text = models.TextField()

    def as_dict(self):
        return {"id": self.pk, "text": self.text}


class Job(models.Model):
    result = models.TextField(null=True)
