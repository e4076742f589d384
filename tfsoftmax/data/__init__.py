"""Rows of X on their way to a program: datasets, batches and chunks of one shape."""
