"""Which training rows to hold out for early stopping: some of each class.

Rows are drawn by what they are, not by where they stand: each row of X is hashed,
with a key from the random state, and the rows of a class with the lowest hashes are
held out, until they have the fraction asked for of the class's weight. So equal rows
always stay together, and no held-out row was trained on; and weighting rows, repeating
them, or passing them in another order gives the same split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from tfsoftmax.chunks import Rows


def hold_out(
    rows: Rows, fraction: float, random_state: np.random.RandomState
) -> tuple[Rows, Rows]:
    """Split rows into those to train on and those held out.

    Parameters
    ----------
    rows : Rows
    fraction : float
        What to hold out of the weight of each class. At least one row of a class
        is held out, and at least one left, where it has two different rows.
    random_state : RandomState
        Where the hashes' key comes from.

    Returns
    -------
    training, held_out : Rows
        Views of X, which is not copied.

    Raises
    ------
    ValueError
        If no class has two different rows.
    """
    key = random_state.bytes(16)
    hashes = np.fromiter(
        (_hash(row, key) for row in _byte_rows(rows.X)), np.uint64, len(rows)
    )
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    labels = rows.y if rows.y.ndim == 1 else rows.y.argmax(axis=1)
    held_out = np.zeros(len(rows), dtype=bool)
    for label in np.unique(labels):
        of_class = np.flatnonzero((labels == label) & (weights > 0))
        distinct, group = np.unique(hashes[of_class], return_inverse=True)
        weight = np.bincount(group, weights[of_class], len(distinct))
        before = np.cumsum(weight) - weight
        # Rounding must not decide where the weights fill the fraction exactly.
        chosen = before < fraction * weight.sum() * (1 - 1e-9)
        chosen[-1:] = False
        held_out[of_class] = chosen[group]
    if not held_out.any():
        raise ValueError(
            "early_stopping needs rows to hold out, and no class has two different "
            "rows. Pass X_val and y_val instead."
        )
    return rows.take(np.flatnonzero(~held_out)), rows.take(np.flatnonzero(held_out))


def _byte_rows(X: Any) -> Iterator[bytes]:
    """Spell out each row's values, the same whatever their dtype and format.

    A row is the places of what is not zero in it, and the values there.
    """
    if sparse.issparse(X):
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        bounds = zip(X.indptr[:-1], X.indptr[1:], strict=True)
        rows = ((X.indices[i:j], X.data[i:j]) for i, j in bounds)
    else:
        everywhere = np.arange(X.shape[1])
        rows = ((everywhere, row) for row in X)
    for places, values in rows:
        filled = np.flatnonzero(values)
        at = places[filled].astype(np.int64)
        yield at.tobytes() + values[filled].astype(np.float64).tobytes()


def _hash(row: bytes, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(row, digest_size=8, key=key).digest())
