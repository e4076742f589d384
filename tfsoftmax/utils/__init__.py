"""Helpers that the rest of the package shares."""
