"""Data sets: the MNIST digits, included in the package, and a reader of IDX files."""

from tfsoftmax.datasets._idx import read_idx
from tfsoftmax.datasets._mnist import load_mnist

__all__ = ["load_mnist", "read_idx"]
