"""Small applications for the tests, one behaviour each; tests/ is in their sys.path."""
