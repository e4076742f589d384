"""Which training rows to hold out for early stopping: some of each class.

Rows are drawn by their values, not by their positions: each row of X is hashed, with a
key from the random state, and the rows of a class with the lowest hashes are held out,
until they have the requested fraction of the class's weight. So equal rows always stay
together, and no held-out row was trained on; and weighting rows, repeating them, or
passing them in another order gives the same split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import Dataset


def hold_out(
    dataset: Dataset, fraction: float, rng: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows into those to train on and those to hold out.

    Parameters
    ----------
    dataset : Dataset
        All of the rows; their weights are the same for all models.
    fraction : float
        What to hold out of the weight of each class. At least one row of a class
        is held out, and at least one left, where it has two different rows.
    rng : RandomState
        The source of the hashes' key.

    Returns
    -------
    train, held_out : ndarray of int64
        The rows' indices.

    Raises
    ------
    ValueError
        If no class has two different rows.
    """
    key = rng.bytes(16)
    hashes = np.fromiter(
        (_hash(row, key) for row in _byte_rows(dataset.X)), np.uint64, len(dataset)
    )
    weights = dataset.row_weights()
    labels = dataset.y if dataset.y.ndim == 1 else dataset.y.argmax(axis=1)
    is_held_out = np.zeros(len(dataset), dtype=bool)
    for label in np.unique(labels):
        in_class = np.flatnonzero((labels == label) & (weights > 0))
        distinct, group = np.unique(hashes[in_class], return_inverse=True)
        weight = np.bincount(group, weights[in_class], len(distinct))
        before = np.cumsum(weight) - weight
        # Rounding must not decide where the weights fill the fraction exactly.
        chosen = before < fraction * weight.sum() * (1 - 1e-9)
        chosen[-1:] = False
        is_held_out[in_class] = chosen[group]
    if not is_held_out.any():
        raise ValueError(
            "early_stopping needs rows to hold out, and no class has two different "
            "rows. Pass X_val and y_val instead."
        )
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _byte_rows(X: Any) -> Iterator[bytes]:
    """Yield the bytes of each row's non-zero columns and their values.

    They are the same whatever the dtype and the format of X.
    """
    if sparse.issparse(X):
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        bounds = zip(X.indptr[:-1], X.indptr[1:], strict=True)
        rows = ((X.indices[i:j], X.data[i:j]) for i, j in bounds)
    else:
        every_column = np.arange(X.shape[1])
        rows = ((every_column, row) for row in X)
    for columns, values in rows:
        filled = np.flatnonzero(values)
        yield (
            columns[filled].astype(np.int64).tobytes()
            + values[filled].astype(np.float64).tobytes()
        )


def _hash(row: bytes, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(row, digest_size=8, key=key).digest())
