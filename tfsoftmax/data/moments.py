"""Moments: the mean and the variance of each feature, in one pass over the rows.

Blocks of rows have a weight w, a mean m and a sum of squares M₂ = Σ s (x − m)². Two
blocks are combined into one by (Chan, Golub & LeVeque 1983)

    w = w₁ + w₂    m = m₁ + (w₂/w) δ    M₂ = M₂₁ + M₂₂ + (w₁ w₂/w) δ²    δ = m₂ − m₁

For integers, Σ x and Σ x² are exact as long as they fit in 64 bits, and so is, apart
from the final rounding, the variance (n Σ x² − (Σ x)²) / n².

References
----------
T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for Computing the Sample
Variance: Analysis and Recommendations", The American Statistician 37(3), 1983.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.dtypes import largest_magnitude
from tfsoftmax.data.rows import Rows
from tfsoftmax.utils.sparse import canonical

# The largest integers up to which float32, float64 and int64 represent all.
_EXACT = {np.float32: 2**24, np.float64: 2**53, np.int64: 2**63 - 1}
# The sum of the squares of this many bytes is less than 2²⁴.
_ROWS_OF_BYTES = 256


class Moments(NamedTuple):
    """The weighted mean and variance of each feature, of shape (n_features,)."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    def is_constant(self, n_samples: int) -> NDArray[np.bool_]:
        """Return a mask of the features that only vary by rounding, as in scikit-learn.

        The criterion is the bound of Chan et al. on the error of a variance.
        """
        eps = np.finfo(np.float64).eps
        bound = n_samples * eps * self.variance + (n_samples * self.mean * eps) ** 2
        return self.variance <= bound


def moments(dataset: Rows) -> Moments:
    """Compute the moments of a dataset's rows."""
    _, found = dataset.fold(_weight_and_moments, combine=_combine_moments)
    return found  # type: ignore[no-any-return]


def _combine_moments(
    one: tuple[float, Moments], other: tuple[float, Moments]
) -> tuple[float, Moments]:
    """Combine the weights and the moments of two sets of rows."""
    (w1, (m1, v1)), (w2, (m2, v2)) = one, other
    w = w1 + w2
    if not w:
        return one
    with np.errstate(over="ignore", invalid="ignore"):
        delta = m2 - m1
        variance = (w1 * v1 + w2 * v2) / w + w1 / w * (w2 / w) * delta**2
        return w, Moments(m1 + w2 / w * delta, variance)


def _weight_and_moments(dataset: Dataset) -> tuple[float, Moments]:
    X = dataset.X
    is_integer = X.dtype.kind in "biu" and not sparse.issparse(X)
    if is_integer and dataset.weights is None:
        largest = largest_magnitude(X)
        if largest**2 * len(dataset) <= _EXACT[np.int64]:
            return len(dataset), _exact_moments(dataset, largest)
    with np.errstate(over="ignore", invalid="ignore"):  # the variance shows it
        weight = 0.0
        mean = squares = np.zeros(dataset.n_features)
        for rows, block in dataset.blocks():
            s = dataset.row_weights(rows)
            if not (w := float(s.sum())):
                continue
            m, M2 = (_of_sparse if sparse.issparse(block) else _of_dense)(block, s, w)
            weight, former = weight + w, weight
            delta = m - mean
            mean = mean + w / weight * delta
            squares = squares + M2 + former * w / weight * delta**2
        return weight, Moments(mean, squares / (weight or 1))


def mean_square(dataset: Rows, mean: Any, factor: Any) -> float:
    """Compute the mean of ‖r ∘ (x − m)‖² over a dataset's rows, from their moments."""
    found = moments(dataset)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = found.variance + (found.mean - mean) ** 2
        return float((factor**2 * squares).sum())


def _of_dense(
    X: NDArray[Any], s: NDArray[np.float64], weight: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute m and M₂ of a block of rows."""
    first = X[s.argmax()].astype(np.float64)
    # The mean of a constant is exactly its value; long doubles become doubles.
    X = np.subtract(X, first, dtype=np.float64)
    mean = s @ X / weight
    X -= mean
    return first + mean, s @ np.square(X, out=X)


def _of_sparse(
    X: Any, s: NDArray[np.float64], weight: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute m and M₂ of a block of sparse rows, counting the zeros."""
    mean = X.T @ s / weight
    X = canonical(X)
    by_value = np.repeat(s, np.diff(X.indptr))
    squares = by_value * (X.data - mean[X.indices]) ** 2
    n_features = X.shape[1]
    squares = np.bincount(X.indices, squares, n_features)
    zeros = np.maximum(weight - np.bincount(X.indices, by_value, n_features), 0)
    # If there are none, rounding must not count any, since their squares may be large.
    filled = np.bincount(X.indices, by_value > 0, n_features)
    zeros[filled == np.count_nonzero(s)] = 0
    return mean, squares + zeros * mean**2


def _exact_moments(dataset: Dataset, largest: int) -> Moments:
    """Compute the moments of integers, none of them larger than `largest`."""
    total = squares = np.zeros(dataset.n_features, np.int64)
    n_rows = _ROWS_OF_BYTES if largest <= np.iinfo(np.uint8).max else None
    for _, X in dataset.blocks(n_rows):
        bound = max(largest**2, 1) * len(X)
        dtype = next(dtype for dtype, most in _EXACT.items() if bound <= most)
        block = X.astype(dtype)
        ones = np.ones(len(X), dtype)
        total = total + (ones @ block).astype(np.int64)
        squares = squares + (ones @ np.square(block, out=block)).astype(np.int64)
    n = len(dataset)
    total, squares = total.astype(object), squares.astype(object)  # no number too large
    variance = (n * squares - total**2) / n**2
    return Moments((total / n).astype(np.float64), variance.astype(np.float64))


def weighted_mean(dataset: Rows) -> NDArray[np.float64]:
    """Compute the weighted mean of x over a dataset's rows."""
    _, mean = dataset.in_pieces().fold(_weight_and_mean, combine=_combine_means)
    return mean  # type: ignore[no-any-return]


def _combine_means(
    one: tuple[float, NDArray[np.float64]], other: tuple[float, NDArray[np.float64]]
) -> tuple[float, NDArray[np.float64]]:
    """Combine the weights and the means of two sets of rows."""
    (w1, m1), (w2, m2) = one, other
    w = w1 + w2
    with np.errstate(over="ignore", invalid="ignore"):
        # A constant stays as it is.
        return w, m1 + w2 / (w or 1) * (m2 - m1)


def _weight_and_mean(dataset: Dataset) -> tuple[float, NDArray[np.float64]]:
    total, weight = np.zeros(dataset.n_features), 0.0
    first: Any = None
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, X in dataset.blocks():
            s = dataset.row_weights(rows)
            weight += float(s.sum())
            if sparse.issparse(X):
                total = total + X.T @ s
                continue
            if first is None:
                first = X[0].astype(np.float64)
            # Relative to the first row, so that the mean of a constant is exact.
            total = total + s @ np.subtract(X, first, dtype=np.float64)
        mean = total / (weight or 1)
        return weight, mean if first is None else first + mean
