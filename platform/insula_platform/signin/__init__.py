"""Signing in: the pages people see, and the session a browser holds."""
