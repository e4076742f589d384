"""Dataset: rows of X, their labels and their weights, and the dtypes to compute in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.columns import take_columns

# Rows of X that NumPy works on at once, by their bytes in float64.
MAX_BLOCK_BYTES = 16 << 20


def add_each(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add two tuples element by element."""
    return tuple(a + b for a, b in zip(one, other, strict=True))


class Bound:
    """What is made from a dataset's rows and kept beside them."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def fold(
        self,
        method: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any:
        """Call a method with the arguments, as :meth:`Dataset.fold` does."""
        return method(self._made, *arguments)


@dataclass(frozen=True)
class Dataset:
    """Rows of X, their labels and their weights.

    Attributes
    ----------
    X : array of shape (n, n_features)
        An array, a memmap or a CSR array of real numbers, in any layout.
    y : ndarray of shape (n_samples,), int32; or (n_samples, n_classes), floating
        The number of each row's class, or the probability of each class.
    weights : ndarray of shape (n_samples,) or (n_models, n_samples), or None
        Weights with a mean of 1, shared by all models or different for each; None
        stands for ones.
    index : ndarray of shape (n_samples,), or None
        Which rows of X these are; None stands for all, in order.
    """

    X: Any
    y: NDArray[Any]
    weights: NDArray[np.float64] | None = None
    index: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return int(self.X.shape[1])

    @property
    def n_values(self) -> int:
        """Number of values that X holds, without those that a sparse X leaves out."""
        X = self.X
        return int(X.nnz) if sparse.issparse(X) else len(self) * self.n_features

    @property
    def per_model_weights(self) -> bool:
        """Whether each model has weights that the others don't have."""
        return self.weights is not None and self.weights.ndim == 2

    @property
    def n_weight_rows(self) -> int:
        """Number of weights that a row of X has: 1, or one for each model."""
        return (
            len(self.weights)
            if self.weights is not None and self.per_model_weights
            else 1
        )

    def row_weights(self, rows: slice = slice(None)) -> NDArray[np.float64]:
        """Return the weights of some rows, ones where none are given."""
        if self.weights is None:
            return np.ones(len(range(*rows.indices(len(self)))))
        return self.weights[..., rows]

    def blocks(self, n_rows: int | None = None) -> Iterator[tuple[slice, Any]]:
        """Yield blocks of rows of X, sparse where X is, and which rows they are.

        By default they have as many rows as take `MAX_BLOCK_BYTES`.
        """
        X = self.X
        if n_rows is None:
            values_per_row = self.n_features
            if sparse.issparse(X):
                values_per_row = 2 * X.nnz // X.shape[0]  # with their columns
            n_rows = max(1, MAX_BLOCK_BYTES // (8 * max(1, values_per_row)))
        for start in range(0, len(self), n_rows):
            rows = slice(start, min(start + n_rows, len(self)))
            yield rows, X[rows if self.index is None else self.index[rows]]

    def fold(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any:
        """Call a function with the dataset and the arguments.

        A dataset that lies in parts calls it with each, and combines the results, two
        by two.
        """
        return function(self, *arguments)

    def bind(self, make: Callable[..., Any], *arguments: Any) -> Bound:
        """Make an object from the dataset and the arguments, whose methods to fold."""
        return Bound(make(self, *arguments))

    def close(self) -> None:
        """Do nothing: these rows are nowhere else."""

    def for_models(self, models: slice | list[int] | int) -> Dataset:
        """Return the same rows with the weights that these models have, or this one."""
        if self.weights is None or not self.per_model_weights:
            return self
        return replace(self, weights=self.weights[models])

    def with_columns(self, columns: NDArray[np.int64]) -> Dataset:
        """Return the same rows with some of their columns."""
        return replace(self, X=take_columns(self.X, columns))

    def sample(self, n: int) -> Dataset:
        """Return at most n of the rows, evenly spaced."""
        if len(self) <= n:
            return self
        return self.take(np.linspace(0, len(self) - 1, n).astype(np.int64))

    def take(self, index: NDArray[np.int64]) -> Dataset:
        """Return some of the rows; X is not copied."""
        weights = None if self.weights is None else self.weights[..., index]
        if weights is not None:
            weights = weights / weights.mean(axis=-1, keepdims=True)
        return Dataset(
            self.X,
            self.y[index],
            weights,
            index if self.index is None else self.index[index],
        )


class RowsElsewhere(Protocol):
    """Rows that this process doesn't hold: :class:`tfsoftmax.distributed.parts.Parts`.

    What has no docstring is as `Dataset` has it. But `X` and `y` have no rows; they are
    of the kind that those elsewhere are of.
    """

    X: Any
    y: NDArray[Any]
    n_weight_rows: int
    share: float  # of the weight of all rows that were passed

    def __len__(self) -> int: ...
    @property
    def n_features(self) -> int: ...  # noqa: D102
    @property
    def n_values(self) -> int: ...  # noqa: D102

    @property
    def full_batch(self) -> Callable[..., Any]:
        """What evaluates them in the place of `FullBatch`."""

    @property
    def engine(self) -> Callable[..., Any]:
        """What trains on them in the place of `Engine`."""

    @property
    def evaluator(self) -> Callable[..., Any]:
        """What evaluates them in the place of `Engine`, where they are held out."""

    def fold(  # noqa: D102
        self,
        function: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any: ...
    def bind(self, make: Callable[..., Any], *arguments: Any) -> Any: ...  # noqa: D102
    def sample(self, n: int) -> Dataset: ...  # noqa: D102
    def for_models(  # noqa: D102
        self, models: slice | list[int] | int
    ) -> RowsElsewhere: ...
    def close(self) -> None: ...  # noqa: D102

    def draw_order(self, rng: np.random.RandomState) -> Any:
        """Draw the order of an epoch's rows."""

    def split(
        self, fraction: float, seed: int
    ) -> tuple[RowsElsewhere, RowsElsewhere, RowsElsewhere]:
        """Split them as :func:`tfsoftmax.data.hold_out.split` does."""


# Rows, wherever they are.
Rows = Dataset | RowsElsewhere


def dtypes_for(
    X: Any, precision: np.dtype[Any] | None = None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype in which rows of X are handed over, and that of computing.

    Bytes stay bytes until the program casts a micro-batch of them. All else is handed
    over in the dtype of computing: that of X for floats; for other integers float32
    where that holds each of them exactly, and float64 where it doesn't. A `precision`
    that is given is the dtype of computing.
    """
    if precision is None:
        precision = _precision_for(X)
    is_bytes = X.dtype.kind == "b" or X.dtype == np.uint8
    return np.dtype(np.uint8) if is_bytes else precision, precision


def full_batch_dtypes_for(
    X: Any, precision: np.dtype[Any] | None = None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtypes of handing over and of computing where steps have no noise.

    Integers of 32 and 64 bits are computed in float64, as scikit-learn has it: on the
    way to an optimum float32 would end short of it. Those of fewer bits, bytes and
    booleans are computed in float32, which holds them exactly; floats in their own
    dtype. X is handed over in its own dtype, where the program can cast that.
    """
    kind, n_bytes = X.dtype.kind, X.dtype.itemsize
    if precision is None:
        single = n_bytes <= (4 if kind == "f" else 2)
        precision = np.dtype(np.float32 if single else np.float64)
    if kind == "b":
        return np.dtype(np.uint8), precision
    is_plain = kind in "iu" or n_bytes in (4, 8)
    return (X.dtype.newbyteorder("=") if is_plain else precision), precision


def _precision_for(X: Any) -> np.dtype[Any]:
    if X.dtype.kind == "f":
        single = X.dtype.itemsize <= 4
    else:
        single = X.dtype.itemsize <= 2 or largest_magnitude(X) <= 2**24
    return np.dtype(np.float32 if single else np.float64)


def largest_magnitude(X: Any) -> int:
    """Return the largest absolute value of integers; that of their dtype, if short."""
    if X.dtype.itemsize <= 2:
        if X.dtype.kind == "b":
            return 1
        limits = np.iinfo(X.dtype)
        return max(-int(limits.min), int(limits.max))
    values = X.data if sparse.issparse(X) else X
    return max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))
