"""A Django project as most are: admin, static files, uploads."""
