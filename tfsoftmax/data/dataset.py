"""Dataset: rows of X, their labels and their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.columns import take_columns
from tfsoftmax.data.dtypes import largest_magnitude
from tfsoftmax.data.pieces import Pieces
from tfsoftmax.utils.slices import split_evenly

# Maximum size of a block of rows that NumPy processes, in bytes of float64.
MAX_BLOCK_BYTES = 16 << 20
# Dense blocks are smaller, so that what is computed from them stays in the cache: over
# 784 columns, passes then take 0.6 to 0.9 times as long. But to add up the results of a
# block takes the time of some rows.
CACHED_BYTES, MIN_BLOCK_ROWS = 2 << 20, 256
# Pieces of dense rows: eight of them, but none smaller than this in bytes of float64;
# and more if they would be larger than this, since Ctrl-C waits for the running ones.
N_PIECES, MIN_PIECE_BYTES, MAX_PIECE_BYTES = 8, 4 << 20, 64 << 20
# Maximum size of the results that all threads compute at the same time.
MAX_RESULT_BYTES = 128 << 20


def add_each(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add two tuples element by element; infinities are the caller's concern."""
    with np.errstate(over="ignore", invalid="ignore"):
        return tuple(a + b for a, b in zip(one, other, strict=True))


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
    def largest_integer(self) -> int:
        """The largest absolute value of X, or a bound, if it has integers."""
        return largest_magnitude(self.X)

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

        By default, a block takes up to `MAX_BLOCK_BYTES`, but has `at_least` rows.
        """
        X = self.X
        if n_rows is None:
            if sparse.issparse(X):
                row_bytes = 8 * max(1, 2 * X.nnz // X.shape[0])  # with their columns
                n_rows = MAX_BLOCK_BYTES // row_bytes
            else:
                row_bytes = 8 * max(1, self.n_features)
                n_rows = max(CACHED_BYTES // row_bytes, MIN_BLOCK_ROWS)
                n_rows = min(n_rows, MAX_BLOCK_BYTES // row_bytes)
            n_rows = max(n_rows, at_least)
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

        A dataset in parts or pieces calls it with each, and combines the results.
        """
        return function(self, *arguments)

    def bind(self, make: Callable[..., Any], *arguments: Any) -> Pieces:
        """Create an object from the dataset and the arguments, to fold its methods."""
        return Pieces([make(self, *arguments)])

    def in_pieces(self, result_bytes: int = 1) -> Pieces:
        """Return pieces of neighbouring rows, to fold functions of NumPy in threads.

        They, and with them the bits of sums, depend on the shape of X, not on the
        number of threads. Small datasets are a single piece; so are sparse ones, since
        SciPy's sparse products hold Python's lock. A piece is no smaller than the
        function's result, if `result_bytes` says how large that is.
        """
        n_bytes = 8 * len(self) * self.n_features
        n_pieces = min(N_PIECES, n_bytes // MIN_PIECE_BYTES)
        n_pieces = max(n_pieces, math.ceil(n_bytes / MAX_PIECE_BYTES))
        most = min(n_bytes // result_bytes, len(self) // MIN_BLOCK_ROWS)
        if (n_pieces := min(n_pieces, most)) <= 1 or sparse.issparse(self.X):
            return Pieces([self])
        pieces = [self._neighbours(rows) for rows in split_evenly(len(self), n_pieces)]
        return Pieces(pieces, max(1, MAX_RESULT_BYTES // result_bytes))

    def _neighbours(self, rows: slice) -> Dataset:
        """Return neighbouring rows of dense X, without copying them."""
        X, index = (self.X[rows], None) if self.index is None else (self.X, self.index)
        weights = None if self.weights is None else self.weights[..., rows]
        return Dataset(X, self.y[rows], weights, None if index is None else index[rows])

    def close(self) -> None:
        """Do nothing: these rows need no release."""

    def draw_order(self, rng: np.random.RandomState) -> NDArray[np.signedinteger]:
        """Draw ``rng.permutation(len(self))``, in half of the memory."""
        fits = len(self) <= np.iinfo(np.int32).max
        order: NDArray[Any] = np.arange(len(self), dtype=np.int32 if fits else np.int64)
        rng.shuffle(order)
        return order

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
            mean = weights.mean(axis=-1, keepdims=True)
            weights = weights / np.where(mean > 0, mean, 1)
        return Dataset(
            self.X,
            self.y[index],
            weights,
            index if self.index is None else self.index[index],
        )
