"""Curvature: a model of the Hessian that is cheap to invert.

The Hessian of the cross-entropy, over rows x̂ with the probabilities p, is

    E[T ⊗ x̂ x̂ᵀ]        T = diag(p) − p pᵀ

Its Kronecker-factored approximation (Martens & Grosse 2015) has one matrix for the
classes and one for the features, and with the penalty's curvature

    M = A ⊗ (H + δ I)        A = E[T]        H = E[τ x̂ x̂ᵀ] / E[τ]        τ = tr T

Solving with it takes a Cholesky factor of H's size, whatever the number of classes.
With two classes, M is the Hessian itself. For an eigenvalue a of A, δ = alpha / a;
eigenvalues that are close to each other share the smallest one's δ and its factor.

References
----------
J. Martens and R. Grosse, "Optimizing Neural Networks with Kronecker-factored
Approximate Curvature", ICML 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.linalg import lapack
from scipy.special import softmax

from tfsoftmax.data.dataset import Dataset, add_each
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.features import CentredFeatures, CentredRows

# With more columns, H is diagonal: a Cholesky factor of 3,000 columns takes 0.15 s and
# 72 MB, and grows with the cube and the square.
MAX_DENSE = 3000
# Up to this many columns, H is always dense. 300 sparse rows of 400 columns, with
# values from 1 to 1e8, then take 400 iterations, instead of thousands; a fit of
# well-scaled rows takes 1.5 to 3 times as long, some 20 to 40 ms more.
ALWAYS_DENSE = 512
# Rows with less than this fraction of the largest τ are replaced by the mean of all
# rows: near the optimum, only a tenth of MNIST's rows matter.
LEAST_SHARE = 0.1
# Minimum eigenvalue of A, relative to the largest, for classes with hardly any rows.
LEAST_EIGENVALUE = 1e-5
# Maximum ratio of eigenvalues of A that share a factor.
MAX_RATIO = 4.0
# Relative increase of the diagonal of H. Along collinear columns, H and the gradient
# only consist of rounding errors, which are multiplied by 1 / JITTER: with 1e-10,
# weights drifted by 1e-4. The iterations learn real curvature that is this small.
JITTER = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-5}


class CurvatureSums(NamedTuple):
    """E[T], E[τ] and E[τ x̂ x̂ᵀ] over some rows, where x̂ ends with a 1 if it has one.

    With too many columns, the last is its diagonal, of shape (n_columns,).
    """

    classes: NDArray[np.float64]
    weight: float
    features: NDArray[np.float64]

    @property
    def mean_features(self) -> NDArray[np.float64]:
        """H: the mean of x̂ x̂ᵀ, weighted by τ."""
        return self.features / self.weight


def curvature_sums(
    U: NDArray[np.float64],
    dataset: Rows,
    features: CentredFeatures,
    precision: np.dtype[Any],
    typical: NDArray[np.float64] | None = None,
) -> CurvatureSums:
    """Compute the sums of the curvature at the weights Û over the rows of a dataset.

    Parameters
    ----------
    U : ndarray of shape (n_rows, n_columns)
    dataset : Dataset
    features : CentredFeatures
    precision : dtype
        The dtype of the computation.
    typical : ndarray, default=None
        A previous H, which replaces x̂ x̂ᵀ in the rows with small τ; None uses every
        row.
    """
    n_columns = U.shape[1]
    is_dense = n_columns <= MAX_DENSE
    if sparse.issparse(dataset.X) and n_columns > ALWAYS_DENSE:
        is_dense = is_dense and n_columns**2 <= dataset.n_values  # H not larger than X
    n_bytes = 8 * n_columns**2 if is_dense else 1
    classes, weight, skipped, total = dataset.in_pieces(n_bytes).fold(
        _sum_up, U, features, precision, typical, is_dense, combine=add_each
    )
    total = total.astype(np.float64, copy=False)
    if typical is not None:
        total = total + skipped * typical
    n = len(dataset)
    return CurvatureSums(classes / n, weight / n, total / n)


def _sum_up(
    dataset: Dataset,
    U: NDArray[np.float64],
    features: CentredFeatures,
    precision: np.dtype[Any],
    typical: NDArray[np.float64] | None,
    is_dense: bool,
) -> tuple[NDArray[np.float64], float, float, NDArray[Any]]:
    """Compute the sums of T, τ, τ of the skipped rows, and τ x̂ x̂ᵀ of the others."""
    n_rows, n_columns = U.shape
    shape = (n_columns, n_columns) if is_dense else (n_columns,)
    sums = np.zeros(shape, precision)
    n_classes = max(2, n_rows)
    products = np.zeros((n_classes, n_classes))
    skipped = 0.0
    # Adding a matrix takes the time of some rows.
    for rows, X in dataset.blocks(at_least=n_columns // 2 if is_dense else 1):
        s = dataset.row_weights(rows)
        z = features.logits(X, U)
        if n_rows == 1:
            z = np.concatenate([np.zeros_like(z), z])
        with np.errstate(invalid="ignore"):  # infinite logits, which the loss shows
            P = softmax(z, axis=0)
        tau = _trace(P)
        products += (P * s) @ P.T
        if typical is not None:
            # However much a row is weighted, if at all.
            counts = tau > LEAST_SHARE * tau[s > 0].max(initial=0)
            skipped += s[~counts] @ tau[~counts]
            X, s, tau = X[counts], s[counts], tau[counts]
        with np.errstate(over="ignore", invalid="ignore"):  # refused by the objective
            x = features.rows(X, precision)
            add = _add_sparse if isinstance(x, CentredRows) else _add_dense
            add(sums, x, (s * tau).astype(precision))
    # T = diag(p) − p pᵀ without cancellation, since its rows add up to 0.
    np.fill_diagonal(products, 0)
    classes = np.diag(products.sum(axis=1)) - products
    return classes[-n_rows:, -n_rows:], float(classes.trace()), skipped, sums


def _trace(P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute τ = 1 − Σ p² of each row, also if one p is nearly 1."""
    likeliest = P.argmax(axis=0)[None]
    p = np.take_along_axis(P, likeliest, axis=0)[0]
    others = P.copy()
    np.put_along_axis(others, likeliest, 0, axis=0)
    tau: NDArray[np.float64] = others.sum(axis=0) * (1 + p)
    tau -= np.einsum("kn,kn->n", others, others)
    return tau


def _add_dense(sums: NDArray[Any], x: NDArray[Any], weights: NDArray[Any]) -> None:
    """Add Σ w (x̂, 1) (x̂, 1)ᵀ over some rows, or its diagonal."""
    roots = np.sqrt(weights)[:, None]
    weighted = np.empty((len(x), len(sums)), sums.dtype)
    weighted[:, -1:] = roots
    np.multiply(x, roots, out=weighted[:, :-1])
    if sums.ndim == 1:
        sums += np.einsum("ij,ij->j", weighted, weighted)
    else:
        # BLAS's syrk, like SciPy's, but other threads can run meanwhile.
        sums += weighted.T @ weighted


def _add_sparse(sums: NDArray[Any], x: CentredRows, weights: NDArray[Any]) -> None:
    """Add the same as `_add_dense`."""
    if sums.ndim == 1:
        sums[:-1] += x.squares(weights)
        sums[-1] += weights.sum()
        return
    total = weights @ x
    sums[:-1, :-1] += x.gram(weights)
    sums[:-1, -1] += total
    sums[-1, :-1] += total
    sums[-1, -1] += weights.sum()


class Curvature:
    """The model M, as the function that maps a gradient G to M⁻¹ G.

    Parameters
    ----------
    sums : CurvatureSums
    features : CentredFeatures
        The features of the sums.
    alpha : float
        The strength of the L2 penalty, on all columns but the last.
    jitter : float
        Relative increase of the diagonal of H.

    Attributes
    ----------
    diagonal : ndarray of shape (n_rows, n_columns)
        The diagonal of A ⊗ H.
    """

    def __init__(
        self,
        sums: CurvatureSums,
        features: CentredFeatures,
        alpha: float,
        jitter: float,
    ) -> None:
        A = sums.classes
        if len(A) > 1:
            # Adding the same to all classes changes no probability, so that A is
            # singular there and gradients are zero. Any curvature will do.
            A = A + np.trace(A) / len(A) ** 2
        H = sums.mean_features
        H_diagonal = H if H.ndim == 1 else H.diagonal()
        self.diagonal = np.outer(A.diagonal(), H_diagonal)
        eigenvalues, self._classes = linalg.eigh(A)
        self._eigenvalues = np.maximum(eigenvalues, LEAST_EIGENVALUE * eigenvalues[-1])
        # Columns that only vary by rounding are constant: only the penalty curves.
        varies = np.append(
            H_diagonal[:-1] > (4 * features.rounding) ** 2,
            features.fit_intercept,
        )
        self._factors = [
            (modes, _Factor(H, varies, alpha / least, jitter))
            for modes, least in _groups(self._eigenvalues)
        ]

    def solve(self, G: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute M⁻¹ G, for one or several G in the last two axes."""
        G = self._classes.T @ G
        for modes, factor in self._factors:
            G[..., modes, :] = factor.solve(G[..., modes, :])
        G /= self._eigenvalues[:, None]
        return self._classes @ G  # type: ignore[no-any-return]


class _Factor:
    """Multiplies by (H + δ I)⁻¹; constant columns are left out of H."""

    def __init__(
        self,
        H: NDArray[np.float64],
        varies: NDArray[np.bool_],
        delta: float,
        jitter: float,
    ) -> None:
        penalty = np.append(np.full(len(varies) - 1, delta), 0.0)
        diagonal = H if H.ndim == 1 else H.diagonal()
        diagonal = np.where(varies, diagonal, 0) + penalty
        # 0 for a constant column without a penalty, whose weight doesn't change.
        has_curvature = diagonal > 0
        self._scale = np.zeros_like(diagonal)
        self._scale[has_curvature] = 1 / np.sqrt(diagonal[has_curvature])
        self._factor = None
        if H.ndim == 2:
            scaled = np.where(varies, self._scale, 0)
            correlations = H * scaled * scaled[:, None]
            self._factor = _cholesky(correlations, jitter)

    def solve(self, G: NDArray[np.float64]) -> NDArray[np.float64]:
        rows: NDArray[np.float64]
        rows = (G * self._scale).reshape(-1, G.shape[-1])
        if self._factor is not None:
            # Called directly: cho_solve adds 15 µs, doubling the time for few rows.
            solution, _ = lapack.dpotrs(self._factor, rows.T, lower=True)
            rows = solution.T
        return rows.reshape(G.shape) * self._scale  # type: ignore[no-any-return]


def _cholesky(correlations: NDArray[np.float64], jitter: float) -> NDArray[np.float64]:
    """Return the lower factor of a matrix with its diagonal set to 1 + jitter."""
    while True:
        np.fill_diagonal(correlations, 1 + jitter)
        with suppress(linalg.LinAlgError):
            factor: NDArray[np.float64]
            factor, _ = linalg.cho_factor(correlations, lower=True)
            return factor
        jitter *= 10  # rounding has made it not positive definite


def _groups(eigenvalues: NDArray[np.float64]) -> Iterator[tuple[slice, float]]:
    """Yield slices of ascending eigenvalues, and the smallest of each.

    No eigenvalue exceeds `MAX_RATIO` times the smallest of its slice.
    """
    start = 0
    while start < len(eigenvalues):
        least = eigenvalues[start]
        stop = int(np.searchsorted(eigenvalues, MAX_RATIO * least, side="right"))
        yield slice(start, stop), float(least)
        start = stop
