"""Speed and memory beside the alternatives: run ``python -m benchmarks``."""
