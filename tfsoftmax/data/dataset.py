"""Dataset: rows of X, their labels and their weights, and the dtypes to compute in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.columns import take_columns
from tfsoftmax.utils.parallel import map_in_threads
from tfsoftmax.utils.slices import split_evenly

# Size of a block of rows that NumPy processes, in bytes of float64: it and what is
# computed from it stay in the cache. With 16 MB, most passes take 1.1 to 1.5 times as
# long.
MAX_BLOCK_BYTES = 2 << 20
# Number of pieces of a dataset, and the minimum size of each, in bytes of float64.
MAX_PIECES = 8
PIECE_BYTES = 4 << 20


def add_each(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add two tuples element by element; infinities are the caller's concern."""
    with np.errstate(over="ignore", invalid="ignore"):
        return tuple(a + b for a, b in zip(one, other, strict=True))


class Bound:
    """Objects that are made from the pieces of a dataset and kept next to them."""

    def __init__(self, made: Sequence[Any]) -> None:
        self._made = made

    def fold(
        self,
        method: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any:
        """Call a method with the arguments, as :meth:`Dataset.fold` does."""
        return reduce(combine, _call_each(method, self._made, arguments))


@dataclass(frozen=True)
class Dataset:
    """Rows of X, their labels and their weights.

    Attributes
    ----------
    X : array of shape (n, n_features)
        An array, a memmap or a CSR array of real numbers, in any layout.
    y : ndarray of shape (n_samples,), int32; or (n_samples, n_classes), floating
        The class index of each row, or the probability of each class.
    weights : ndarray of shape (n_samples,) or (n_models, n_samples), or None
        Weights with mean 1, shared by all models or different for each; None means
        ones.
    index : ndarray of shape (n_samples,), or None
        Indices of the rows in X; None means all rows, in order.
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
        """Number of values stored in X."""
        X = self.X
        return int(X.nnz) if sparse.issparse(X) else len(self) * self.n_features

    @property
    def per_model_weights(self) -> bool:
        """Whether the weights differ between models."""
        return self.weights is not None and self.weights.ndim == 2

    @property
    def n_weight_rows(self) -> int:
        """Number of weights per row: 1, or the number of models."""
        return (
            len(self.weights)
            if self.weights is not None and self.per_model_weights
            else 1
        )

    def row_weights(self, rows: slice = slice(None)) -> NDArray[np.float64]:
        """Return the weights of some rows, by default ones."""
        if self.weights is None:
            return np.ones(len(range(*rows.indices(len(self)))))
        return self.weights[..., rows]

    def blocks(
        self, n_rows: int | None = None, *, at_least: int = 1
    ) -> Iterator[tuple[slice, Any]]:
        """Yield blocks of rows of X, sparse if X is, and their indices.

        By default, a block takes up to `MAX_BLOCK_BYTES`, or has `at_least` rows.
        """
        X = self.X
        if n_rows is None:
            values_per_row = self.n_features
            if sparse.issparse(X):
                values_per_row = 2 * X.nnz // X.shape[0]  # with their columns
            n_rows = max(at_least, MAX_BLOCK_BYTES // (8 * max(1, values_per_row)))
        for start in range(0, len(self), n_rows):
            rows = slice(start, min(start + n_rows, len(self)))
            yield rows, X[rows if self.index is None else self.index[rows]]

    def fold(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any:
        """Call a function with each piece of the rows; combine the results in order.

        A small dataset is a single piece. Larger ones are processed in threads.
        """
        return reduce(combine, _call_each(function, self._pieces(), arguments))

    def bind(self, make: Callable[..., Any], *arguments: Any) -> Bound:
        """Create objects from the pieces of the rows, to fold their methods."""
        return Bound(list(_call_each(make, self._pieces(), arguments)))

    def _pieces(self) -> list[Dataset]:
        """Return pieces of neighbouring rows, chosen by the shape of X alone.

        A matrix of n_features² is no larger than the piece from which it is computed.
        """
        most = len(self) // max(1, self.n_features)
        n = min(MAX_PIECES, 8 * self.n_values // PIECE_BYTES, most)
        if n <= 1:
            return [self]
        return [self._piece(rows) for rows in split_evenly(len(self), n)]

    def _piece(self, rows: slice) -> Dataset:
        """Return neighbouring rows, with their weights; nothing is copied."""
        X, index = self.X, self.index
        if index is None:
            X = _neighbours(X, rows)
        else:
            index = index[rows]
        weights = None if self.weights is None else self.weights[..., rows]
        return Dataset(X, self.y[rows], weights, index)

    def close(self) -> None:
        """Do nothing: these rows need no release."""

    def draw_order(self, rng: np.random.RandomState) -> NDArray[np.signedinteger]:
        """Draw ``rng.permutation(len(self))``, in half of the memory."""
        fits = len(self) <= np.iinfo(np.int32).max
        order: NDArray[Any] = np.arange(len(self), dtype=np.int32 if fits else np.int64)
        rng.shuffle(order)
        return order

    def share_of(self, all_rows: Any) -> Any:
        """Return the share of these rows, taken from `all_rows`, in their weight."""
        if self.index is None or all_rows.weights is None:
            return len(self) / len(all_rows)
        return all_rows.weights[..., self.index].sum(axis=-1) / len(all_rows)

    def for_models(self, models: slice | list[int] | int) -> Dataset:
        """Return the same rows with the weights of some models, or of one."""
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


def _call_each(
    function: Callable[..., Any], items: Sequence[Any], arguments: tuple[Any, ...]
) -> Iterator[Any]:
    """Call a function with each item and the arguments, in threads."""
    return map_in_threads(lambda item: function(item, *arguments), items)


def _neighbours(X: Any, rows: slice) -> Any:
    """Return neighbouring rows of X, which share its memory even if it is sparse."""
    if not sparse.issparse(X):
        return X[rows]
    indptr = X.indptr[rows.start : rows.stop + 1]
    values = slice(indptr[0], indptr[-1])
    some = sparse.csr_array((len(indptr) - 1, X.shape[1]), dtype=X.dtype)
    # The constructor would copy views of so small a part.
    some.data, some.indices = X.data[values], X.indices[values]
    some.indptr = indptr - indptr[0]
    return some


class RowsElsewhere(Protocol):
    """Rows that this process doesn't hold: :class:`tfsoftmax.distributed.parts.Parts`.

    Members without a docstring are those of `Dataset`. But `X` and `y` have no rows:
    they only show the type of the remote ones.
    """

    X: Any
    y: NDArray[Any]
    weights: None
    n_values: int
    n_weight_rows: int
    per_model_weights: bool

    def __len__(self) -> int: ...
    @property
    def n_features(self) -> int: ...  # noqa: D102

    @property
    def full_batch(self) -> Callable[..., Any]:
        """The class that replaces `FullBatch` for them."""

    @property
    def engine(self) -> Callable[..., Any]:
        """The class that replaces `Engine` for training on them."""

    @property
    def evaluator(self) -> Callable[..., Any]:
        """The class that replaces `Engine` for evaluating them when held out."""

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
    def draw_order(self, rng: np.random.RandomState) -> Any: ...  # noqa: D102
    def share_of(self, all_rows: Any) -> float: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102

    def split(
        self, fraction: float, seed: int
    ) -> tuple[RowsElsewhere, RowsElsewhere, RowsElsewhere]:
        """Split them like :func:`tfsoftmax.data.hold_out.split`."""


# Rows, wherever they are.
Rows = Dataset | RowsElsewhere


def dtypes_for(
    X: Any, precision: np.dtype[Any] | None = None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype in which rows of X are passed on, and that of the computation.

    Bytes stay bytes until the program casts a micro-batch of them. Everything else is
    passed on in the dtype of the computation: that of X for floats; for other integers
    float32 if it represents each of them exactly, otherwise float64. A `precision`
    overrides the dtype of the computation.
    """
    if precision is None:
        precision = precision_for(X.dtype, lambda: largest_magnitude(X))
    is_bytes = X.dtype.kind == "b" or X.dtype == np.uint8
    return np.dtype(np.uint8) if is_bytes else precision, precision


def full_batch_dtypes_for(
    X: Any, precision: np.dtype[Any] | None = None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtypes of :func:`dtypes_for` for full batches, without noise.

    Integers of 32 and 64 bits are computed in float64, as in scikit-learn: float32
    would stop short of the optimum. Shorter integers, bytes and booleans are computed
    in float32, which represents them exactly; floats keep their dtype. X is passed on
    in its original dtype if the program can cast it.
    """
    kind, n_bytes = X.dtype.kind, X.dtype.itemsize
    if precision is None:
        single = n_bytes <= (4 if kind == "f" else 2)
        precision = np.dtype(np.float32 if single else np.float64)
    if kind == "b":
        return np.dtype(np.uint8), precision
    is_plain = kind in "iu" or n_bytes in (4, 8)
    return (X.dtype.newbyteorder("=") if is_plain else precision), precision


def precision_for(dtype: np.dtype[Any], largest: Callable[[], int]) -> np.dtype[Any]:
    """Return the dtype to compute in; `largest` returns the largest of wide integers.

    It is the largest absolute value, which takes a pass over the rows to find.
    """
    if dtype.kind == "f":
        single = dtype.itemsize <= 4
    else:
        single = dtype.itemsize <= 2 or largest() <= 2**24
    return np.dtype(np.float32 if single else np.float64)


def largest_magnitude(X: Any) -> int:
    """Return the largest absolute value of integers, or of their dtype if short."""
    if X.dtype.itemsize <= 2:
        if X.dtype.kind == "b":
            return 1
        limits = np.iinfo(X.dtype)
        return max(-int(limits.min), int(limits.max))
    values = X.data if sparse.issparse(X) else X
    return max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))
