"""The choice of held-out rows in parts: those with the lowest hashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.hold_out import Split, split
from tfsoftmax.data.row_hash import hash_rows
from tfsoftmax.data.targets import class_totals
from tfsoftmax.distributed.part import Part
from tfsoftmax.distributed.parts import Parts


class Count(NamedTuple):
    """The number of rows of a part, and the sums of their weights.

    `weight` includes class weights, `by_sample` doesn't; `by_class` is `by_sample` for
    each class.
    """

    n_rows: int
    weight: float
    by_sample: float
    by_class: NDArray[np.float64]


@split.register(Parts)
def split_parts(parts: Parts, by_sample: Parts, fraction: float, seed: int) -> Split:
    """Split the rows into training rows, with and without class weights, and others.

    The others are held out. Hashes are spread evenly, so about the requested fraction
    of each class is held out. Equal rows stay together, whichever parts they are in.
    """
    limit = np.uint64(int(fraction * 2**64))
    held_out, _ = _take(parts, partial(_is_below, limit, seed))
    train, share = _take(parts, partial(_is_not_below, limit, seed))
    parts.cluster.release(parts.items)  # Dask can compute them again if necessary
    if not (len(held_out) and share):
        raise ValueError(
            "early_stopping needs rows to hold out and rows to train on, but there are "
            "too few different rows. Pass X_val and y_val instead."
        )
    return Split(
        train, train.weighted_by_sample(), held_out.weighted_by_sample(), share
    )


def _take(
    parts: Parts, chosen: Callable[[Dataset], NDArray[np.bool_]]
) -> tuple[Parts, float]:
    """Return some of the rows, with a mean weight of 1, and their share of all weight.

    The share is 0 if there are none.
    """
    cluster = parts.cluster
    items = cluster.derive(select, parts.items, chosen)
    n_classes = parts.class_totals.shape[1]
    counts: list[Count] = cluster.collect(count, items, n_classes)
    filled = [i for i, found in enumerate(counts) if found.n_rows]
    some, counts = [items[i] for i in filled], [counts[i] for i in filled]
    n_rows = sum(found.n_rows for found in counts)
    weight = sum(found.weight for found in counts)
    by_sample = sum(found.by_sample for found in counts)
    # Rows of classes without weight are also held out.
    factors = n_rows / (weight or 1), n_rows / (by_sample or 1)
    scaled = cluster.derive(scale, some, *factors)
    cluster.release(items)
    totals = np.array([found.by_class for found in counts]).reshape(-1, n_classes)
    return parts.with_items(scaled, n_rows, totals), weight / len(parts)


def select(part: Part, chosen: Callable[[Dataset], NDArray[np.bool_]]) -> Part:
    """Return a part with some of its rows, on a worker."""
    blocks, by_sample = [], []
    for block, unweighted in zip(part.blocks, part.by_sample, strict=True):
        index = np.flatnonzero(chosen(unweighted))
        if len(index):
            blocks.append(_take_rows(block, index))
            weights = _take_weights(unweighted, index)
            by_sample.append(replace(blocks[-1], weights=weights))
    return Part(blocks, None if part.by_sample is part.blocks else by_sample)


def count(part: Part, n_classes: int) -> Count:
    """Count the rows of a part, on a worker."""
    by_class = np.zeros(n_classes)
    for block in part.by_sample:
        by_class += class_totals(block.y, block.row_weights(), n_classes)
    weight, by_sample = (
        sum(float(block.row_weights().sum()) for block in blocks)
        for blocks in (part.blocks, part.by_sample)
    )
    return Count(sum(map(len, part.blocks)), weight, by_sample, by_class)


def scale(part: Part, factor: float, by_sample: float) -> Part:
    """Return a part with other weights, on a worker."""
    blocks = [_scaled(block, factor) for block in part.blocks]
    if part.by_sample is part.blocks:
        return Part(blocks)
    return Part(blocks, [_scaled(block, by_sample) for block in part.by_sample])


def _is_below(limit: np.uint64, seed: int, block: Dataset) -> NDArray[np.bool_]:
    is_low: NDArray[np.bool_]
    is_low = hash_rows(block, np.random.RandomState(seed)) < limit
    return is_low & (block.row_weights() > 0)


def _is_not_below(limit: np.uint64, seed: int, block: Dataset) -> NDArray[np.bool_]:
    return ~_is_below(limit, seed, block)


def _take_rows(block: Dataset, index: NDArray[np.int64]) -> Dataset:
    """Return some rows of a block, as copies if they are few.

    An index would keep the whole block in memory.
    """
    y, weights = block.y[index], _take_weights(block, index)
    if 2 * len(index) < len(block):
        return Dataset(block.X[index], y, weights)
    return Dataset(block.X, y, weights, index)


def _take_weights(
    block: Dataset, index: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    return None if block.weights is None else block.weights[index]


def _scaled(block: Dataset, factor: float) -> Dataset:
    if block.weights is None:
        return block
    return replace(block, weights=block.weights * factor)
