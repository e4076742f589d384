"""Preparation of rows for a program: datasets, batches and chunks of one shape."""
