# SPDX-License-Identifier: BSD-3-Clause
"""One small notebook, written once with each framework in that framework's own manner, and driven by one set of tests.

Every folder is a project as a user would have it: the server is started inside it with `tine main:app` (Django:
`tine notebook.asgi:application`). NOTES_DATABASE names the database file. Must use public interfaces only.
"""
