"""Widths: numbers of columns of compiled programs, shared by several widths of X.

A compilation takes 0.3 s or more, and 3 MB that are never freed. So a small X is padded
with zero columns up to the next width of a ladder. Folds of text, whose numbers of
columns differ, then share a program.

    W   w₁ w₂ … w_n | 0 … 0 | b        the columns between W and b are not weights
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Maximum size of dense X. Beyond it, each zero column adds milliseconds to an epoch;
# for sparse X they cost nothing.
MAX_SHARED_BYTES = 4 << 20


def next_power_of_two(n: int) -> int:
    """Return a number rounded up to a power of 2."""
    return 1 << (n - 1).bit_length()


def next_width(n_features: int) -> int:
    """Return the smallest width of the ladder for this many columns.

    4, 8, 16, 32, 64; beyond that, eight widths per power of 2.
    """
    n = max(4, n_features)
    power = next_power_of_two(n)  # half of it is too small
    rung = power if n <= 64 else power // 16
    return -(-n // rung) * rung


def shared_width(X: Any, n_rows: int, storage: np.dtype[Any]) -> int:
    """Return the number of columns of a program for this many rows of X."""
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
