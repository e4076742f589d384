"""The choice of held-out rows for early stopping: some of each class.

Rows are drawn by their values, not by their positions: each row of X is hashed, with a
key from the random state, and the rows of a class with the lowest hashes are held out,
until they have the requested fraction of the class weight. So equal rows always stay
together, and no held-out row is also a training row; weighting rows, repeating them, or
passing them in another order results in the same split. Different rows with the same
hash also stay together.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.row_hash import hash_rows
from tfsoftmax.data.rows import Rows


class Split(NamedTuple):
    """Rows to train on, and rows to hold out.

    Attributes
    ----------
    dataset, by_sample : Rows
        Those to train on, with the weights of each model and with sample weights alone.
    held_out : Rows
        The others, weighted like those of X_val, without class weights.
    share : float or ndarray of shape (n_models,)
        The share of the rows to train on in the weight of all rows.
    """

    dataset: Rows
    by_sample: Rows
    held_out: Rows
    share: float | NDArray[np.float64]


@singledispatch
def split(dataset: Any, by_sample: Any, fraction: float, seed: int) -> Split:
    """Split rows into those to train on and those to hold out.

    Parameters
    ----------
    dataset, by_sample : Dataset
        The rows, with the weights of each model and with sample weights alone.
    fraction : float
        Fraction of the weight of each class to hold out.
    seed : int
    """
    train, out = hold_out(by_sample, fraction, np.random.RandomState(seed))
    weights = dataset.weights
    total = len(train) if weights is None else weights[..., train].sum(axis=-1)
    share = total / len(dataset)
    return Split(dataset.take(train), by_sample.take(train), by_sample.take(out), share)


def hold_out(
    dataset: Dataset, fraction: float, rng: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows into those to train on and those to hold out.

    Parameters
    ----------
    dataset : Dataset
        All of the rows; their weights are the same for all models.
    fraction : float
        Fraction of the weight of each class to hold out. At least one row of a class is
        held out, and at least one left, where it has two different rows.
    rng : RandomState
        The generator of the hash key.

    Returns
    -------
    train, held_out : ndarray of int64
        The row indices.

    Raises
    ------
    ValueError
        If no class has two different rows.
    """
    hashes = hash_rows(dataset, rng)
    labels = dataset.y if dataset.y.ndim == 1 else dataset.y.argmax(axis=1)
    is_held_out = np.zeros(len(dataset), dtype=bool)
    for label in np.flatnonzero(np.bincount(labels)):
        is_in_class = labels == label
        if dataset.weights is not None:
            is_in_class &= dataset.weights > 0
        in_class = np.flatnonzero(is_in_class)
        weights = None if dataset.weights is None else dataset.weights[in_class]
        is_held_out[in_class] = _lowest(hashes[in_class], weights, fraction)
    if not is_held_out.any():
        raise ValueError(
            "early_stopping needs rows to hold out, but no class has two different "
            "rows. Pass X_val and y_val instead."
        )
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _lowest(
    hashes: NDArray[np.uint64], weights: NDArray[np.float64] | None, fraction: float
) -> NDArray[np.bool_]:
    """Mark the lowest hashes with this fraction of the weight, or just more.

    The highest hash is never marked, whatever its weight.
    """
    if not len(hashes):
        return np.zeros(0, dtype=bool)
    # Rounding must not matter if the weights match the fraction exactly.
    share = fraction * (1 - 1e-9)
    if weights is None:
        last = math.ceil(share * len(hashes)) - 1
        limit = np.partition(hashes, last)[last]
    else:
        order = hashes.argsort()
        filled = np.cumsum(weights[order])
        last = np.searchsorted(filled, share * filled[-1])
        limit = hashes[order[last]]
    is_low: NDArray[np.bool_] = (hashes <= limit) & (hashes < hashes.max())
    return is_low
