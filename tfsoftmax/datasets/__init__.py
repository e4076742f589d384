"""Data sets: the MNIST digits, which come with the package, and the IDX reader."""

from tfsoftmax.datasets._idx import read_idx
from tfsoftmax.datasets._mnist import load_mnist

__all__ = ["load_mnist", "read_idx"]
