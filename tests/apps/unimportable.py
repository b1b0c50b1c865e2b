"""Fails to import."""

raise ImportError("this module does not want to be imported")
