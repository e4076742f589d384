"""The features x̃ that the model sees, and its weights in the units of x.

    x̃ = (r ∘ (x − m), 1)        V = (W, b)        V x̃ = (W ∘ r) x + b − (W ∘ r) m

r is a factor for each feature and m its mean, or 0; without an intercept, x̃ has no
constant 1 and V no last column. X itself is never scaled.

Full batches see features centred at c, the mean of the rows, whatever m is. This
preserves small differences between large values, and the intercept hardly depends on W:

    x̂ = r ∘ (x − c)        Û = (W, b + W (r ∘ (c − m)))        Û (x̂, 1) = V x̃
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.moments import moments, weighted_mean
from tfsoftmax.data.rows import Rows

Tensor = Any
# Values of `rescale`: a number, one number per feature, or "standard".
Rescale = float | tuple[float, ...] | str


@dataclass(frozen=True, eq=False)
class Scaling:
    """The map from x to x̃: r ∘ (x − m).

    Attributes
    ----------
    factor : float or ndarray of shape (n_features,), float64
        r, one number for all features or for each.
    mean : ndarray of shape (n_features,), float64, or None
        m; None means zeros.
    """

    factor: float | NDArray[np.float64] = 1.0
    mean: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, rescale: Rescale, dataset: Rows) -> Scaling:
        """Return the scaling by `rescale`, given the training rows.

        Raises
        ------
        ValueError
            If the rows have no finite variance.
        """
        if not isinstance(rescale, str):
            return cls(np.array(rescale) if isinstance(rescale, tuple) else rescale)
        found = moments(dataset)
        deviation = np.sqrt(found.variance)
        if not np.isfinite(deviation).all():
            raise ValueError(
                "X has values too large to be standardised: their variance overflows "
                "float64. Scale the features before the fit."
            )
        deviation[found.is_constant(len(dataset))] = 1
        return cls(1 / deviation, found.mean)

    @property
    def is_identity(self) -> bool:
        """Whether x̃ is x."""
        return self.mean is None and isinstance(self.factor, float) and self.factor == 1

    def arrays(self, precision: np.dtype[Any]) -> tuple[NDArray[Any], ...]:
        """Return the arguments of :func:`augment`: r alone, or m and r per feature."""
        with np.errstate(over="ignore"):  # overflow to inf shows in the loss
            r = np.asarray(self.factor).astype(precision)
            if self.mean is None and r.ndim == 0:
                return (r,)
            m = np.zeros(r.shape) if self.mean is None else self.mean
            return m.astype(precision), r

    def rounded(
        self, dtype: np.dtype[Any]
    ) -> tuple[NDArray[np.float64], float | NDArray[np.float64]]:
        """Return m and r after rounding to a dtype; m is 0 if there is none."""
        *mean, r = (array.astype(np.float64) for array in self.arrays(dtype))
        return mean[0] if mean else np.zeros(()), r

    def coef_and_intercept(
        self, V: NDArray[Any], *, fit_intercept: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the weights W ∘ r and the intercept b − (W ∘ r) m of the features x.

        Parameters
        ----------
        V : ndarray of shape (n_rows, n_columns)
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
        b = V[:, -1].copy() if fit_intercept else np.zeros(len(V), V.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            coef = W * np.asarray(self.factor).astype(V.dtype)
            if self.mean is not None:
                m, _ = self.rounded(V.dtype)
                b = (b - coef.astype(np.float64) @ m).astype(V.dtype)
        if not (np.isfinite(coef).all() and np.isfinite(b).all()):
            largest = float(np.max(self.factor))
            raise ValueError(
                f"rescale={largest:.6g} makes coef_ too large for {V.dtype}: the "
                "values of X are too small. Scale the features before the fit."
            )
        return coef, b

    def take(self, columns: NDArray[np.int64] | None) -> Scaling:
        """Return the scaling of some columns of x; None means all."""
        if columns is None:
            return self
        mean = None if self.mean is None else self.mean[columns]
        factor = self.factor
        if isinstance(factor, np.ndarray):
            factor = factor[columns]
        return Scaling(factor, mean)

    def weights(self, coef: NDArray[Any]) -> NDArray[np.float64]:
        """Return W, the weights of x̃, for given weights of x."""
        with np.errstate(over="ignore"):
            return coef.astype(np.float64) / self.factor


def augment(x: Tensor, scaling: tuple[Tensor, ...], fit_intercept: bool) -> Tensor:
    """Compute x̃, of shape (n, D), from rows x (n, n_features) of the same dtype."""
    import tensorflow as tf

    *mean, factor = scaling
    x = (x - mean[0]) * factor if mean else x * factor
    if fit_intercept:
        x = tf.concat([x, tf.ones((x.shape[0], 1), x.dtype)], axis=1)
    return x


@dataclass(frozen=True, eq=False)
class CentredFeatures:
    """The features x̂ of a dataset's rows, and the map between V and Û.

    Attributes
    ----------
    scaling : Scaling
    centre : ndarray of shape (n_features,)
        c, in the dtype of centring: the weighted mean of x or, without an intercept to
        compensate for it, m.
    fit_intercept : bool
    """

    scaling: Scaling
    centre: NDArray[Any]
    fit_intercept: bool

    @classmethod
    def of(
        cls,
        dataset: Rows,
        *,
        scaling: Scaling,
        fit_intercept: bool,
        precision: np.dtype[Any],
    ) -> CentredFeatures:
        """Return the centred features for a dataset's rows."""
        centre = np.zeros(dataset.n_features)
        if fit_intercept:
            centre = weighted_mean(dataset)
        elif scaling.mean is not None:
            centre = scaling.mean
        with np.errstate(over="ignore"):  # the loss shows it
            return cls(scaling, centre.astype(precision), fit_intercept)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of centring."""
        return self.centre.dtype

    @property
    def factor(self) -> Any:
        """The factor r after rounding in the program, in float64."""
        return self.scaling.rounded(self.dtype)[1]

    @property
    def _shift(self) -> NDArray[np.float64]:
        """Return r ∘ (c − m)."""
        m, r = self.scaling.rounded(self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            return (self.centre.astype(np.float64) - m) * r

    @property
    def rounding(self) -> NDArray[np.float64]:
        """The rounding error of x̂ from centring."""
        eps = np.finfo(self.dtype).eps
        return abs(self.centre.astype(np.float64) * self.factor) * eps  # type: ignore[no-any-return]

    def intercept_rounding(self, U: NDArray[np.float64]) -> float:
        """Return a bound on the rounding error of the intercepts of V in float64."""
        if not self.fit_intercept:
            return 0.0
        largest = (abs(U[:, :-1]) @ abs(self._shift) + abs(U[:, -1])).max()
        return float(largest * np.finfo(np.float64).eps)

    def blocks(self, dataset: Dataset) -> Iterator[tuple[slice, Any]]:
        """Yield blocks of rows x̂ in float64, and their indices."""
        for rows, X in dataset.blocks():
            yield rows, self.rows(X, np.dtype(np.float64))

    def rows(self, X: Any, precision: np.dtype[Any]) -> Any:
        """Return rows x̂ of rows of X, centred before they are cast.

        For sparse X, they are `CentredRows`.
        """
        if sparse.issparse(X):
            scaled = X.astype(precision)
            r = np.broadcast_to(np.asarray(self.factor), self.centre.shape)
            scaled.data *= r.astype(precision)[scaled.indices]
            return CentredRows(scaled, (self.centre * r).astype(precision))
        centred: NDArray[Any] = np.subtract(X, self.centre, dtype=self.dtype)
        if not self.scaling.is_identity:
            centred *= np.asarray(self.factor).astype(self.dtype)
        return centred.astype(precision, copy=False)

    def logits(self, X: NDArray[Any], U: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the logits Û (x̂, 1)ᵀ of rows of X, in the dtype of centring."""
        W: NDArray[np.float64] = U[:, :-1] * self.factor
        b = U[:, -1] - W @ self.centre.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            x = X.astype(self.dtype, copy=False)
            return products(W.astype(self.dtype), x) + b[:, None]

    def centre_weights(self, V: NDArray[Any]) -> NDArray[np.float64]:
        """Return Û of V, in float64."""
        W = V[:, : len(self.centre)].astype(np.float64)
        if not self.fit_intercept:
            return np.column_stack([W, np.zeros(len(V))])
        return np.column_stack([W, V[:, -1] + W @ self._shift])

    def uncentre_weights(
        self, U: NDArray[np.float64], dtype: Any = np.float64
    ) -> NDArray[Any]:
        """Return V of Û in a dtype; the intercept compensates for the rounding of W."""
        W: NDArray[Any] = U[:, :-1].astype(dtype)
        if not self.fit_intercept:
            return W
        b = U[:, -1] - W.astype(np.float64) @ self._shift
        return np.column_stack([W, b.astype(dtype)])


class CentredRows:
    """Rows x − m of a sparse matrix, for products without dense rows.

    Parameters
    ----------
    X : sparse array of shape (n, n_features)
    mean : ndarray of shape (n_features,)
    """

    __array_ufunc__ = None  # so that NumPy arrays defer `@` to this class

    def __init__(self, X: Any, mean: NDArray[Any]) -> None:
        self.X, self.mean = X, mean

    def __matmul__(self, A: NDArray[Any]) -> NDArray[Any]:
        return self.X @ A - self.mean @ A  # type: ignore[no-any-return]

    def __rmatmul__(self, A: NDArray[Any]) -> NDArray[Any]:
        sums = A.sum(axis=-1)
        return (self.X.T @ A.T).T - np.multiply.outer(sums, self.mean)  # type: ignore[no-any-return]

    def squares(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Compute Σ w (x − m)² of each feature."""
        m, sums = self.mean, self.X.T @ weights
        squares = self.X.power(2).T @ weights - m * (2 * sums - m * weights.sum())
        return np.maximum(squares, 0)  # type: ignore[no-any-return]

    def gram(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Compute Σ w (x − m) (x − m)ᵀ."""
        weighted = sparse.diags_array(np.sqrt(weights)) @ self.X
        gram = (weighted.T @ weighted).toarray()
        # Half of Σ w m mᵀ on each side leaves it symmetric.
        m, rest = self.mean, self.X.T @ weights - weights.sum() / 2 * self.mean
        gram -= np.outer(m, rest) + np.outer(rest, m)
        return gram  # type: ignore[no-any-return]


def products(W: NDArray[Any], x: Any) -> NDArray[Any]:
    """Compute W xᵀ, of shape (n_rows, n), for rows x: an array, or sparse."""
    if isinstance(x, np.ndarray):
        return W @ x.T
    return np.ascontiguousarray((x @ W.T).T)
