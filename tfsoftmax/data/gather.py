"""Gathering rows of an array X, of any layout, into aligned buffers.

A row of an array in Fortran order, as most DataFrames give, lies in as many places as
it has columns. Such X is copied once, block by block, and its rows gathered from the
copy: over ten epochs of MNIST's bytes, gathering from the columns took six times as
long.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

# What Eigen needs of a buffer; with less, TensorFlow ends the process.
ALIGNMENT = 64
# Rows that are copied from columns at a time. A block of 1,024 rows of bytes took a
# quarter less than one of 16; several of float64 read whole cache lines as well.
COPIED_ROWS = 1024
# A file by columns is copied into memory up to here, 1 GiB, which leaves a machine of
# 4 GB its work. X in memory is copied whatever it takes, as scikit-learn's solvers do.
MAX_COPIED_FILE = 1 << 30


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that starts at a multiple of `ALIGNMENT`.

    Zeros, for `tf.debugging.enable_check_numerics` finds NaN in unused places, too.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.zeros(n_bytes + ALIGNMENT, dtype=np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + n_bytes].view(dtype).reshape(shape)


def lies_by_columns(X: Any) -> bool:
    """Whether the numbers of a column of X are nearer to each other than a row's."""
    if sparse.issparse(X) or X.flags.c_contiguous:
        return False
    step, column_step = map(abs, X.strides)
    return bool(0 < step < column_step)  # 0: one row, broadcast


def copy_by_rows(X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a copy of X in C order, in a dtype; X itself if it is too large a file."""
    if _is_mapped(X) and X.size * dtype.itemsize > MAX_COPIED_FILE:
        return X
    copy = aligned(X.shape, dtype)
    for start in range(0, len(X), COPIED_ROWS):
        rows = slice(start, start + COPIED_ROWS)
        copy[rows] = X[rows]
    return copy


def _is_mapped(X: NDArray[Any]) -> bool:
    """Whether the memory of X is that of a file."""
    base: Any = X
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def gatherer(
    X: NDArray[Any], storage: np.dtype[Any]
) -> Callable[[Any, NDArray[Any]], None]:
    """Return the function that copies rows of X into a buffer of dtype `storage`."""

    def take(rows: Any, out: NDArray[Any]) -> None:
        if isinstance(rows, slice):
            out[...] = X[rows]
        else:
            # mode="clip" writes straight into `out`; the default buffers.
            np.take(X, rows, axis=0, out=out, mode="clip")

    def assign(rows: Any, out: NDArray[Any]) -> None:
        out[...] = X[rows]

    if X.dtype.kind == "b":
        X = X.view(np.uint8)  # the same bytes, and take needs equal dtypes
    # np.take copies an array that is not contiguous, as a whole, each time.
    return take if X.dtype == storage and X.flags.c_contiguous else assign
