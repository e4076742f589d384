"""The digits, in the forms in which the contenders want them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.datasets import load_mnist

RESCALE = 1 / 255
N_FEATURES, N_CLASSES = 784, 10


def digits(n_samples: int = 60_000) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load training digits as bytes; beyond 60,000 they begin again."""
    X, y = load_mnist("train", return_X_y=True)
    if n_samples <= len(X):
        return X[:n_samples], y[:n_samples]
    return np.resize(X, (n_samples, N_FEATURES)), np.resize(y, n_samples)


def test_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load the 10,000 test digits as bytes."""
    return load_mnist("test", return_X_y=True)


def scaled(X: NDArray[np.uint8], dtype: str = "float32") -> NDArray[np.floating]:
    """Make the copy in [0, 1] that the others need."""
    return np.multiply(X, RESCALE, dtype=dtype)


def write_digits(path: Path, n_samples: int) -> tuple[np.memmap, NDArray[np.int64]]:
    """Write digits to a file, each block shifted and noised in its own way.

    Returns
    -------
    X : memmap of shape (n_samples, 784), uint8
    y : ndarray of shape (n_samples,)
    """
    originals, y = digits()
    rng = np.random.default_rng(0)
    shape = (n_samples, N_FEATURES)
    X = np.memmap(path, dtype=np.uint8, mode="w+", shape=shape)
    for start in range(0, n_samples, len(originals)):
        block = X[start : start + len(originals)]
        shift = tuple(rng.integers(-2, 3, 2))
        images = originals[: len(block)].reshape(-1, 28, 28)
        moved = np.roll(images, shift, axis=(1, 2)).reshape(-1, N_FEATURES)
        noise = np.frombuffer(rng.bytes(moved.size), np.uint8) >> 4
        block[:] = np.maximum(moved, noise.reshape(moved.shape))
    X.flush()
    return np.memmap(path, np.uint8, "r", shape=shape), np.resize(y, n_samples)
