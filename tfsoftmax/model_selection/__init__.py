"""Searches that train a whole grid at once."""
