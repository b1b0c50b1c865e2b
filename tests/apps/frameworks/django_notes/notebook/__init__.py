"""The notebook with Django: settings, an ASGI entry, models, plain and async views."""
