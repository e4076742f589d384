"""Widths: how many columns a program is compiled for, shared by several widths of X.

A compilation takes 0.3 s or more, and 3 MB that are never given back. So a small X gets
columns of zeros up to the next width of a ladder, and text in folds, whose numbers of
columns are never the same, finds a program that is there.

    W   w₁ w₂ … w_n | 0 … 0 | b        what lies between W and b is no weight
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Dense X up to here. With more, an epoch takes milliseconds for every column of zeros;
# for sparse X they cost nothing.
MAX_SHARED_BYTES = 4 << 20


def next_width(n_features: int) -> int:
    """Return the least width of a ladder that holds this many columns.

    4, 8, 16, 32, 64; beyond, eight rungs from each power of 2 to the next.
    """
    n = max(4, n_features)
    power = 1 << (n - 1).bit_length()  # half of it is too small
    rung = power if n <= 64 else power // 16
    return -(-n // rung) * rung


def shared_width(X: Any, n_rows: int, storage: np.dtype[Any]) -> int:
    """Return how many columns a program has for so many rows of X."""
    n_features = int(X.shape[1])
    is_small = n_rows * n_features * storage.itemsize <= MAX_SHARED_BYTES
    return next_width(n_features) if sparse.issparse(X) or is_small else n_features


def widen(V: NDArray[Any], n_features: int, width: int) -> NDArray[Any]:
    """Return weights (…, D) with zeros after those of the features."""
    if width == n_features:
        return V
    zeros = np.zeros((*V.shape[:-1], width - n_features), V.dtype)
    return np.concatenate([V[..., :n_features], zeros, V[..., n_features:]], axis=-1)


def narrow(V: NDArray[Any], n_features: int, width: int) -> NDArray[Any]:
    """Return weights without the zeros that `widen` adds."""
    if width == n_features:
        return V
    return np.concatenate([V[..., :n_features], V[..., width:]], axis=-1)
