"""Validation of the blocks of Dask collections, on the workers that have them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dtypes import largest_magnitude
from tfsoftmax.data.gather import ALIGNMENT, aligned, copy_by_rows, lies_by_columns
from tfsoftmax.data.targets import class_totals
from tfsoftmax.validation.arrays import check_rows, check_weights
from tfsoftmax.validation.errors import errors_note
from tfsoftmax.validation.labels import (
    check_labels,
    encode,
    find_classes,
    is_soft,
    sorted_classes,
)

Names = tuple[str, str, str]
NAMES: Names = ("X", "y", "sample_weight")


class Block(NamedTuple):
    """Validated rows; y is an array of labels, or of soft labels as passed."""

    X: Any
    y: Any
    weights: NDArray[np.float64] | None


class About(NamedTuple):
    """The properties of a part that must be known before its rows can be encoded.

    Attributes
    ----------
    n_rows, n_values : int
    dtypes : tuple of dtype
        Of the blocks of X.
    is_sparse : bool
    soft : array or DataFrame of one row, or None
        The first label, if labels are soft.
    classes : ndarray
        The labels that occur, sorted, or the classes of soft labels.
    totals : ndarray of shape (n_classes,)
        The weights of these classes, in units of `largest`.
    largest : float
        The largest weight.
    largest_integer : int
        The largest absolute value, if X contains integers.
    """

    n_rows: int
    n_values: int
    dtypes: tuple[np.dtype[Any], ...]
    is_sparse: bool
    soft: Any
    classes: NDArray[Any]
    totals: NDArray[np.float64]
    largest: float
    largest_integer: int


class Checked(NamedTuple):
    """The blocks of a part, none of them empty, and their properties."""

    blocks: list[Block]
    about: About | None  # None for a part without rows


def check(
    blocks: Sequence[tuple[Any, Any, Any]],
    first: int,
    estimator: Any,
    names: Names,
    version: str,
) -> Checked:
    """Validate the blocks of a part, on a worker; `first` is the first one's number.

    Raises
    ------
    RuntimeError
        If the worker has another version of this package.
    """
    if version != (of_worker := this_version()):
        raise RuntimeError(
            f"A Dask worker has tfsoftmax {of_worker}, but this process has {version}. "
            "Install the same version on both."
        )
    checked = []
    for number, block in enumerate(blocks, first):
        with errors_note(number, number, names[0]):
            if block[0].shape[0]:
                checked.append(_check_block(block, estimator, names))
    if not checked:
        return Checked([], None)
    with errors_note(first, first + len(blocks) - 1, names[0]):
        refuse_mixture([(sparse.issparse(X), is_soft(y)) for X, y, _ in checked], names)
        return Checked(checked, _describe(checked, names[1]))


def refuse_mixture(kinds: Sequence[tuple[bool, bool]], names: Names) -> None:
    """Refuse rows of which only some are sparse, or only some have soft labels."""
    if len(set(kinds)) > 1:
        raise ValueError(
            f"{names[0]} must be sparse in all blocks or in none, and {names[1]} must "
            "have soft labels in all blocks or in none; got a mixture."
        )


def this_version() -> str:
    """Return the version of this package, from its top module."""
    return str(import_module("tfsoftmax").__version__)


def about_of(checked: Checked) -> About | None:
    """Return the properties of a part."""
    return checked.about


def _check_block(block: tuple[Any, Any, Any], estimator: Any, names: Names) -> Block:
    X = check_rows(estimator, block[0], names[0], reset=False)
    if lies_by_columns(X):
        X = copy_by_rows(X, X.dtype)
    elif not sparse.issparse(X) and X.ctypes.data % ALIGNMENT:
        X = _aligned_copy(X)  # or it would be copied in each evaluation
    y = check_labels(block[1], X.shape[0], names[1], names[0])
    weights = block[2]
    if weights is not None:
        weights = check_weights(weights, X.shape[0], names[2], may_be_zero=True)
    return Block(X, y, weights)


def _aligned_copy(X: NDArray[Any]) -> NDArray[Any]:
    copy = aligned(X.shape, X.dtype)
    copy[...] = X
    return copy


def _describe(blocks: Sequence[Block], name: str) -> About:
    """Return the properties of the blocks; errors call their labels `name`."""
    soft = is_soft(blocks[0].y)
    X = blocks[0].X
    is_sparse = sparse.issparse(X)
    weights = [b.weights for b in blocks]
    largest = max((float(w.max()) for w in weights if w is not None), default=1.0)
    classes = (
        find_classes(blocks[0].y, name)
        if soft
        else sorted_classes(np.concatenate([np.asarray(b.y) for b in blocks]), name)
    )
    totals = np.zeros(len(classes))
    for _, y, w in blocks:
        codes = encode(y, classes, name)
        w = np.ones(len(codes)) if w is None else w / (largest or 1)
        totals += class_totals(codes, w, len(classes))
    integers = [b.X for b in blocks if b.X.dtype.kind in "biu"]
    return About(
        n_rows=sum(b.X.shape[0] for b in blocks),
        n_values=sum(b.X.nnz if is_sparse else b.X.size for b in blocks),
        dtypes=tuple(b.X.dtype for b in blocks),
        is_sparse=is_sparse,
        soft=blocks[0].y[:1] if soft else None,
        classes=classes,
        totals=totals,
        largest=largest,
        largest_integer=max(map(largest_magnitude, integers), default=0),
    )
