"""Gathering rows of X, of any kind and layout, into aligned buffers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

# What Eigen needs of a buffer; with less, TensorFlow ends the process.
ALIGNMENT = 64


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that starts at a multiple of `ALIGNMENT`.

    Zeros, for `tf.debugging.enable_check_numerics` finds NaN in unused places, too.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.zeros(n_bytes + ALIGNMENT, dtype=np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + n_bytes].view(dtype).reshape(shape)


def gatherer(X: Any, storage: np.dtype[Any]) -> Callable[[Any, NDArray[Any]], None]:
    """Return the function that copies rows of X into a buffer of dtype `storage`."""

    def take(rows: Any, out: NDArray[Any]) -> None:
        if isinstance(rows, slice):
            out[...] = X[rows]
        else:
            # mode="clip" writes straight into `out`; the default buffers.
            np.take(X, rows, axis=0, out=out, mode="clip")

    def assign(rows: Any, out: NDArray[Any]) -> None:
        out[...] = X[rows]

    def unpack(rows: Any, out: NDArray[Any]) -> None:
        taken = X[rows].astype(out.dtype)
        if out.flags.c_contiguous:
            taken.toarray(out=out)
        else:  # which SciPy does not write to
            out[...] = taken.toarray()

    if sparse.issparse(X):
        return unpack
    if X.dtype.kind == "b":
        X = X.view(np.uint8)  # the same bytes, and take needs equal dtypes
    # np.take copies an array that is not contiguous, as a whole, each time.
    return take if X.dtype == storage and X.flags.c_contiguous else assign
