"""Threads, warnings and other tools that know nothing of models."""
