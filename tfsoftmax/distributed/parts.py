"""Parts: the rows of a Dask collection, divided into parts, and folds over them."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.distributed.cluster import Cluster
from tfsoftmax.distributed.part import Call

# The order of the parts and the seed for the rows of each; None without shuffling.
PartOrder = tuple[NDArray[Any], NDArray[Any]] | None


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows that are divided into parts, in the place of a `Dataset`.

    Attributes
    ----------
    cluster : Cluster
    items : sequence
        The handles of the parts, in the order of the rows.
    X : ndarray or CSR array of shape (0, n_features)
        Without rows, but otherwise like those of the parts.
    y : ndarray of shape (0,) or (0, n_classes)
        Likewise.
    n_rows, n_values : int
        Numbers of rows, and of values stored in X.
    largest_integer : int
        The largest absolute value of X, or a bound, if it has integers.
    class_totals : ndarray of shape (n_parts, n_classes)
        The weights of each class in each part.
    closing : ExitStack
        Releases these rows, and all selections from the same rows, on the workers.
    by_sample : bool, default=False
        Whether to use only the sample weights of the rows, without class weights.
    """

    cluster: Cluster
    items: Sequence[Any]
    X: Any
    y: NDArray[Any]
    n_rows: int
    n_values: int
    largest_integer: int
    class_totals: NDArray[np.float64]
    closing: ExitStack
    by_sample: bool = False

    n_weight_rows = 1
    per_model_weights = False
    weights = None  # which the workers have

    def __len__(self) -> int:
        return self.n_rows

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return int(self.X.shape[1])

    def weighted_by_sample(self) -> Parts:
        """Return the same rows, without class weights."""
        return replace(self, by_sample=True)

    def for_models(self, models: slice | list[int] | int) -> Parts:
        """Return these rows: all models have the same weights."""
        return self

    def draw_order(self, rng: np.random.RandomState) -> PartOrder:
        """Draw the order of the parts, and the seeds of their rows' orders."""
        n = len(self.items)
        return rng.permutation(n), rng.randint(0, 2**32, n, dtype=np.int64)

    def sample(self, n: int) -> Dataset:
        """Return about n of the rows, evenly spaced, in this process."""
        some: Dataset = self.fold(_sample, n / len(self), combine=_concatenated)
        if some.weights is None:
            return some
        return replace(some, weights=some.weights / (some.weights.mean() or 1))

    def with_items(
        self, items: Sequence[Any], n_rows: int, class_totals: NDArray[np.float64]
    ) -> Parts:
        """Return parts with some of the rows, which `close` also frees."""
        self.closing.callback(self.cluster.release, items)
        return replace(
            self,
            items=items,
            n_rows=n_rows,
            n_values=self.n_values * n_rows // len(self),
            class_totals=class_totals,
        )

    def close(self) -> None:
        """Free the workers of the rows."""
        self.closing.close()

    def fold(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any:
        """Call a function with each block, and combine the results."""
        call = Call(function, arguments, combine, self.by_sample)
        return self.cluster.fold(self.items, call)

    def in_pieces(self, result_bytes: int = 1) -> Parts:
        """Return these parts, which are processed in parallel."""
        return self

    def bind(self, make: Callable[..., Any], *arguments: Any) -> BoundParts:
        """Make an object from each block, to fold its methods."""
        return BoundParts(self, make, arguments, by_sample=self.by_sample)


class BoundParts:
    """Objects that are made from each block and kept with it."""

    def __init__(
        self,
        parts: Parts,
        make: Callable[..., Any],
        arguments: tuple[Any, ...],
        *,
        by_sample: bool,
    ) -> None:
        self._parts, self._make, self._made_of = parts, make, arguments
        self._by_sample, self._name = by_sample, uuid.uuid4().hex

    def fold(
        self,
        method: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any:
        """Call a method of the object of each block, and combine the results."""
        call = Call(
            method,
            arguments,
            combine,
            self._by_sample,
            self._make,
            self._made_of,
            self._name,
        )
        return self._parts.cluster.fold(self._parts.items, call)


def _sample(dataset: Dataset, share: float) -> Dataset:
    """Return copies of a share of a block's rows, evenly spaced: at least one row."""
    n = min(len(dataset), math.ceil(share * len(dataset)))
    rows = np.linspace(0, len(dataset) - 1, n).astype(np.int64)
    weights = None if dataset.weights is None else dataset.weights[rows]
    index = rows if dataset.index is None else dataset.index[rows]
    return Dataset(dataset.X[index], dataset.y[rows], weights)


def _concatenated(one: Dataset, other: Dataset) -> Dataset:
    both = (one.X, other.X)
    X = sparse.vstack(both, format="csr") if sparse.issparse(one.X) else np.vstack(both)
    weights = None
    if one.weights is not None or other.weights is not None:
        weights = np.concatenate([one.row_weights(), other.row_weights()])
    return Dataset(X, np.concatenate([one.y, other.y]), weights)
