"""The features x̃ that the model sees, and its weights in the units of x.

    x̃ = (r·x, 1)        V = (W, b)        V x̃ = (r W) x + b

r is `rescale`; without an intercept, x̃ has no constant 1 and V no last column.

Full batches see centred features, whose differences survive rounding where the values
are large beside them, and whose intercept depends little on W:

    x̂ = r·x − m         Û = (W, b + W m)        Û (x̂, 1) = V x̃
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import Dataset

Tensor = Any

# Rows that NumPy centres at once, by their bytes.
MAX_BLOCK_BYTES = 16 << 20


def augment(x: Tensor, rescale: Tensor, fit_intercept: bool) -> Tensor:
    """Compute x̃, of shape (n, D), from rows x (n, n_features) of the same dtype."""
    import tensorflow as tf

    x = x * rescale
    if fit_intercept:
        x = tf.concat([x, tf.ones((x.shape[0], 1), x.dtype)], axis=1)
    return x


def coef_and_intercept(
    V: NDArray[Any], *, rescale: float, fit_intercept: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the weights r W and the intercept b of the features x.

    Parameters
    ----------
    V : ndarray of shape (n_rows, n_columns)
    rescale : float
        The factor r.
    fit_intercept : bool
        Whether b is the last column of V; otherwise it is zero.

    Returns
    -------
    coef : ndarray of shape (n_rows, n_features)
    intercept : ndarray of shape (n_rows,)

    Raises
    ------
    ValueError
        If a weight is too large for V's dtype.
    """
    W = V[:, :-1] if fit_intercept else V
    with np.errstate(over="ignore"):
        coef = W * V.dtype.type(rescale)
    if not np.isfinite(coef).all():
        raise ValueError(
            f"rescale={rescale:.6g} makes coef_ too large for {V.dtype}: X is too "
            "small. Scale its features before the fit."
        )
    intercept = V[:, -1].copy() if fit_intercept else np.zeros(len(V), V.dtype)
    return coef, intercept


@dataclass(frozen=True)
class CentredFeatures:
    """The features x̂ of a dataset's rows, and the map between V and Û.

    Attributes
    ----------
    rescale : float
        The factor r.
    mean : ndarray of shape (n_features,)
        m, the weighted mean of r·x, in the dtype of centring; 0 without an intercept,
        which is what makes up for it.
    fit_intercept : bool
    """

    rescale: float
    mean: NDArray[Any]
    fit_intercept: bool

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        *,
        rescale: float,
        fit_intercept: bool,
        precision: np.dtype[Any],
    ) -> CentredFeatures:
        """Return the centred features for a dataset's rows."""
        first = total = np.zeros(dataset.n_features)
        if fit_intercept:
            for rows, X in blocks(dataset):
                if rows.start == 0:
                    first = X[0].astype(np.float64)
                weights = dataset.weights
                s = np.ones(len(X)) if weights is None else weights[rows]
                with np.errstate(over="ignore", invalid="ignore"):
                    # From the first row on, which leaves constants as they are.
                    total = total + s @ (X - first)
        with np.errstate(over="ignore", invalid="ignore"):  # which the loss shows
            mean = first * rescale + total * (rescale / len(dataset))
            mean = mean.astype(precision)
        return cls(rescale, mean, fit_intercept)

    def rows(self, X: NDArray[Any], precision: np.dtype[Any]) -> NDArray[Any]:
        """Return rows x̂ of rows of X, centred before they are cast."""
        dtype = self.mean.dtype
        if self.rescale != 1:
            X = np.multiply(X, dtype.type(self.rescale), dtype=dtype)
        centred: NDArray[Any] = np.subtract(X, self.mean, dtype=dtype)
        return centred.astype(precision, copy=False)

    def logits(self, X: NDArray[Any], U: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the logits V x̃ of rows of X, in the dtype of `mean`."""
        V: NDArray[np.float64] = self.uncentre(U)
        W = V[:, : len(self.mean)] * self.rescale
        dtype = self.mean.dtype
        with np.errstate(over="ignore", invalid="ignore"):
            z: NDArray[Any] = X.astype(dtype, copy=False) @ W.T.astype(dtype)
            return z + (V[:, -1] if self.fit_intercept else np.zeros(len(V)))

    def centre(self, V: NDArray[Any]) -> NDArray[np.float64]:
        """Return Û = (W, b + W m) of V, in float64; b is 0 without an intercept."""
        W = V[:, : len(self.mean)].astype(np.float64)
        b = V[:, -1] if self.fit_intercept else np.zeros(len(V))
        return np.column_stack([W, b + W @ self.mean])

    def uncentre(self, U: NDArray[np.float64], dtype: Any = np.float64) -> NDArray[Any]:
        """Return V of Û in a dtype; the intercept makes up for the rounding of W."""
        W: NDArray[Any] = U[:, :-1].astype(dtype)
        if not self.fit_intercept:
            return W
        b = U[:, -1] - W.astype(np.float64) @ self.mean
        return np.column_stack([W, b.astype(dtype)])


def blocks(dataset: Dataset) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield blocks of rows of X, dense and not cast, and which rows they are."""
    for rows, X in blocks_as_stored(dataset):
        yield rows, X.toarray() if sparse.issparse(X) else X


def blocks_as_stored(dataset: Dataset) -> Iterator[tuple[slice, Any]]:
    """Yield blocks of rows of X, sparse where X is, and which rows they are."""
    size = max(1, MAX_BLOCK_BYTES // (dataset.n_features * 8))
    for start in range(0, len(dataset), size):
        rows = slice(start, min(start + size, len(dataset)))
        yield rows, dataset.X[rows if dataset.index is None else dataset.index[rows]]
