"""The choice of held-out rows in parts: those with the lowest hashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.row_hash import hash_rows
from tfsoftmax.distributed.part import Part
from tfsoftmax.distributed.parts import Parts

SomeParts = TypeVar("SomeParts", bound=Parts)


class Count(NamedTuple):
    """The number of rows of a part, and the sums of their weights.

    `weight` includes class weights, `by_sample` doesn't; `by_class` is `by_sample` for
    each class.
    """

    n_rows: int
    weight: float
    by_sample: float
    by_class: NDArray[np.float64]


def split(
    parts: SomeParts, fraction: float, seed: int
) -> tuple[SomeParts, SomeParts, SomeParts]:
    """Split the rows into training rows, with and without class weights, and others.

    The others are held out. Hashes are spread evenly, so about the requested fraction
    of each class is held out. Equal rows stay together, whichever parts they are in.
    """
    limit = np.uint64(int(fraction * 2**64))
    held_out = _take(parts, partial(_is_below, limit, seed))
    train = _take(parts, partial(_is_not_below, limit, seed))
    if not (len(held_out) and train.share):
        raise ValueError(
            "early_stopping needs rows to hold out and rows to train on, but there are "
            "too few different rows. Pass X_val and y_val instead."
        )
    return train, train.weighted_by_sample(), held_out.weighted_by_sample()


def _take(
    parts: SomeParts, chosen: Callable[[Dataset], NDArray[np.bool_]]
) -> SomeParts:
    """Return some of the rows, with weights that have a mean of 1."""
    cluster = parts.cluster
    items = cluster.derive(select, parts.items, chosen)
    counts: list[Count] = cluster.collect(count, items)
    filled = [i for i, found in enumerate(counts) if found.n_rows]
    some, counts = [items[i] for i in filled], [counts[i] for i in filled]
    n_rows = sum(found.n_rows for found in counts)
    weight = sum(found.weight for found in counts)
    by_sample = sum(found.by_sample for found in counts)
    # Rows of classes without weight are also held out.
    factors = n_rows / (weight or 1), n_rows / (by_sample or 1)
    scaled = cluster.derive(scale, some, *factors)
    cluster.release(items)
    class_totals = np.zeros((len(filled), parts.class_totals.shape[1]))
    for row, found in zip(class_totals, counts, strict=True):
        row[: len(found.by_class)] = found.by_class
    return parts.with_items(scaled, n_rows, class_totals, weight / len(parts))


def select(part: Part, chosen: Callable[[Dataset], NDArray[np.bool_]]) -> Part:
    """Return a part with some of its rows, on a worker."""
    masks = [chosen(block) for block in part.by_sample]

    def some(blocks: Sequence[Dataset]) -> list[Dataset]:
        pairs = zip(blocks, masks, strict=True)
        return [_rows(block, mask) for block, mask in pairs if mask.any()]

    by_sample = None if part.by_sample is part.blocks else some(part.by_sample)
    return Part(some(part.blocks), by_sample)


def count(part: Part) -> Count:
    """Count the rows of a part, on a worker."""
    by_class: NDArray[Any] = np.zeros(1)
    for block in part.by_sample:
        y, w = block.y, block.row_weights()
        totals: NDArray[Any] = np.bincount(y, w) if y.ndim == 1 else w @ y
        longest = max(len(by_class), len(totals))
        by_class = _padded(by_class, longest) + _padded(totals, longest)
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


def _rows(block: Dataset, mask: NDArray[np.bool_]) -> Dataset:
    index = np.flatnonzero(mask)
    weights = None if block.weights is None else block.weights[index]
    return replace(block, y=block.y[index], weights=weights, index=index)


def _scaled(block: Dataset, factor: float) -> Dataset:
    if block.weights is None:
        return block
    return replace(block, weights=block.weights * factor)


def _padded(totals: NDArray[Any], n: int) -> Any:
    return np.pad(totals, (0, n - len(totals)))
