"""Gathering rows of an array X, of any layout, into aligned buffers.

In an array in Fortran order, as from most DataFrames, each value of a row is in a
different part of memory. Such X is copied once, block by block, and its rows are
gathered from the copy: over ten epochs of MNIST's bytes, gathering from the columns
took six times as long.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

# The alignment that Eigen needs; with less, TensorFlow crashes the process.
ALIGNMENT = 64
# Number of rows copied from columns at a time. Blocks of 1,024 rows of bytes took a
# quarter less time than blocks of 16; several rows of float64 read whole cache lines.
COPIED_ROWS = 1024
# A column-major file is copied to memory up to this size, 1 GiB, which a machine with 4
# GB can spare. X in memory is copied whatever its size, as in scikit-learn's solvers.
MAX_COPIED_FILE = 1 << 30


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that starts at a multiple of `ALIGNMENT`.

    Zeros, since `tf.debugging.enable_check_numerics` checks unused elements, too.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.zeros(n_bytes + ALIGNMENT, dtype=np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + n_bytes].view(dtype).reshape(shape)


def lies_by_columns(X: Any) -> bool:
    """Whether values of a column of X are closer in memory than values of a row."""
    if sparse.issparse(X) or X.flags.c_contiguous:
        return False
    step, column_step = map(abs, X.strides)
    return bool(0 < step < column_step)  # 0: one row, broadcast


def copy_by_rows(X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a copy of X in C order, in a dtype, or X if it is too large a file."""
    if _is_mapped(X) and X.size * dtype.itemsize > MAX_COPIED_FILE:
        return X
    copy = aligned(X.shape, dtype)
    for start in range(0, len(X), COPIED_ROWS):
        rows = slice(start, start + COPIED_ROWS)
        copy[rows] = X[rows]
    return copy


def _is_mapped(X: NDArray[Any]) -> bool:
    """Whether X is memory-mapped from a file."""
    base: Any = X
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def gatherer(
    X: NDArray[Any], storage: np.dtype[Any]
) -> Callable[[Any, NDArray[Any]], None]:
    """Return a function that copies rows of X into a buffer of dtype `storage`."""

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
    # np.take copies the whole array each time if it is not contiguous.
    return take if X.dtype == storage and X.flags.c_contiguous else assign
