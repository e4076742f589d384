"""The duality gap: an upper bound on the objective minus its minimum.

For any class probabilities μ_i of the rows, with mean s (μ − y) = 0 if there is an
intercept,

    min F ≥ D(μ) = −mean s Σ_k μ_k log μ_k − Ω*(−G_μ)        G_μ = mean s (μ − y) x̃ᵀ

where Ω is the penalty and Ω* its conjugate (Boyd & Vandenberghe 2004, 5.7), by

    log Σ_k exp(z_k) ≥ μ·z − Σ_k μ_k log μ_k

μ are the probabilities p of the model, with the intercept that is optimal for its
weights. For a pure L2 penalty, F − D is then ‖∇_W F‖² / (2 alpha) plus the gain of the
optimal intercept. Newton's method finds that intercept; to cancel the rounding error in
mean s (p − y), a share t of μ is the same for all rows:

    μ = (1 − t) p + t q        q = (mean s y − (1 − t) mean s p) / t

with the smallest t for which no q_k is negative. Classes without weight are left out
of p: their intercepts have no optimum, but tend to −∞. If a pure L1 penalty requires
that no component of G_μ exceeds alpha, a share of μ is y, which shrinks G_μ.

References
----------
S. Boyd and L. Vandenberghe, "Convex Optimization", Cambridge, 2004.
"""

from __future__ import annotations

from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.special import entr

from tfsoftmax.data.dataset import Dataset, add_each
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.features import CentredFeatures, Scaling, products
from tfsoftmax.utils.blas import single_threaded_blas

# Steps to the optimal intercept.
MAX_NEWTON = 30
# A step squares the error: after one from this decrement, only rounding is left.
LAST_DECREMENT = 1e-20
# Relative to the largest eigenvalue of H.
SINGULAR = 1e-12
# Relative to the means of p: the accuracy of sums of so many numbers.
ROUNDING = 1e-14
# Number of rows whose mean is close enough to that of all.
N_FOR_CENTRE = 256
# Relative differences of the loss that are rounding errors.
RESOLUTION = 1e-14
# A logit with the probability 0, but finite, since the loss multiplies it by 0.
IMPOSSIBLE = -1e300


@single_threaded_blas()
def duality_gap(
    dataset: Rows,
    coef: NDArray[Any],
    intercept: NDArray[Any],
    *,
    n_classes: int,
    fit_intercept: bool,
    scaling: Scaling,
    alpha: float,
    l1_ratio: float,
) -> float:
    """Compute an upper bound on F − min F over the rows of a dataset.

    It takes the time of about one evaluation of F and its gradient in float64.

    Parameters
    ----------
    dataset : Dataset
    coef : ndarray of shape (n_rows, n_features)
        The weights of the features x, as fitted.
    intercept : ndarray of shape (n_rows,)
    n_classes : int
    fit_intercept, alpha, l1_ratio
        As in the estimator.
    scaling : Scaling
        The map from x to x̃; the penalty applies to the weights of x̃.

    Returns
    -------
    gap : float
        The bound, with an allowance for the rounding of F; infinite if alpha is 0.
    """
    if alpha == 0:
        return np.inf
    features = _features(dataset, scaling, fit_intercept)
    W, b = scaling.weights(coef), np.zeros(len(coef))
    if fit_intercept:
        b = intercept + coef.astype(np.float64) @ features.centre
    rows = _Means(dataset, W, features, n_classes)
    given = best = rows.at(b)
    F = given.loss + alpha * _penalty(W, l1_ratio)
    if fit_intercept:
        if (given.y == 0).any():
            rows.occurring = given.y > 0
            best = rows.at(b)
        best, b = _best_intercept(rows, best, b)
    sums = rows.sum_up(b)
    G, Y, x = sums.G, sums.Y, sums.x
    gap, entropy = given.loss - best.loss, sums.entropy
    if fit_intercept:
        # mean CE − mean s H(p) = ⟨G, W⟩ + ⟨excess, b⟩
        excess = sums.p - sums.y
        t, q = _mixture(sums.p, sums.y)
        constant = np.outer(q[-len(W) :], x) - Y
        gap += float(excess[-len(W) :] @ b) + t * float(np.vdot(G - constant, W))
        gap += t * (entropy - float(entr(q).sum()))
        G = (1 - t) * G + t * constant
        entropy = (1 - t) * entropy + t * float(entr(q).sum())
    largest = float(abs(G).max())
    if l1_ratio == 1 and largest > alpha:
        u = 1 - alpha / largest
        gap += u * float(np.vdot(G, W)) + u * (entropy - rows.entropy_of_targets())
        G = (1 - u) * G
    gap += float(_fenchel_young(W, G, alpha, l1_ratio).sum())
    # F is not negative, so neither is its minimum.
    return min(max(gap, 0.0), F) + 8 * float(np.finfo(np.float64).eps) * F


class Predicted(NamedTuple):
    """The probabilities (n_classes, n) of the rows, and the mean cross-entropy."""

    P: NDArray[np.float64]
    loss: float


class Targets:
    """The classes of the rows: their probabilities T (n_classes, n) and weights s."""

    def __init__(self, dataset: Dataset, n_classes: int, n_rows: int) -> None:
        y = dataset.y
        if y.ndim == 1:
            T = (np.arange(n_classes)[:, None] == y).astype(np.float64)
        else:
            T = np.ascontiguousarray(y.T, np.float64)
        self.T: NDArray[np.float64] = T
        self.s = dataset.row_weights()
        self.n_rows = n_rows

    def evaluate(
        self, z: NDArray[np.float64], occurring: NDArray[np.bool_] | None = None
    ) -> Predicted:
        """Compute the probabilities and the loss from logits (n_rows, n).

        Classes that are not `occurring` have the probability 0.
        """
        if self.n_rows < len(self.T):
            z = np.concatenate([np.zeros_like(z), z])
        if occurring is not None:
            z = np.where(occurring[:, None], z, IMPOSSIBLE)
        z = z - z.max(axis=0)
        P = np.exp(z)
        total = P.sum(axis=0)
        P /= total
        z -= np.log(total)
        of_label = np.einsum("kn,kn->n", self.T, z)
        return Predicted(P, -float(self.s @ of_label) / len(total))


class _AtIntercept(NamedTuple):
    """The loss of an intercept b, its gradient and Hessian in b, and the sum of y.

    Sums over the rows weighted by s, or their means.
    """

    loss: float
    gradient: NDArray[np.float64]
    H: NDArray[np.float64]
    y: NDArray[np.float64]


class _Sums(NamedTuple):
    """Sums over the rows weighted by s, or their means.

    Attributes
    ----------
    entropy : float
        The sum of the entropy of p.
    p, y : ndarray of shape (n_classes,)
    x : ndarray of shape (n_features,)
        The sum of the features x̂.
    G, Y : ndarray of shape (n_rows, n_features)
        The sums of (p − y) x̂ᵀ and y x̂ᵀ.
    """

    entropy: float
    p: NDArray[np.float64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    G: NDArray[np.float64]
    Y: NDArray[np.float64]


class _Rows:
    """The rows of a dataset, and their logits z = W x̂ without an intercept."""

    def __init__(
        self,
        dataset: Dataset,
        W: NDArray[np.float64],
        features: CentredFeatures,
        n_classes: int,
    ) -> None:
        self._dataset, self._features = dataset, features
        self._targets = Targets(dataset, n_classes, len(W))
        blocks = features.blocks(dataset)
        self._z = np.concatenate([products(W, x) for _, x in blocks], axis=1)

    def at(
        self, b: NDArray[np.float64], occurring: NDArray[np.bool_] | None
    ) -> _AtIntercept:
        """Compute the sums for an intercept b."""
        s, T, n_rows = self._targets.s, self._targets.T, self._targets.n_rows
        predicted = self._targets.evaluate(self._z + b[:, None], occurring)
        P = predicted.P[-n_rows:]
        H = np.diag(P @ s) - (P * s) @ P.T
        return _AtIntercept(predicted.loss * len(s), (P - T[-n_rows:]) @ s, H, T @ s)

    def sum_up(
        self, b: NDArray[np.float64], occurring: NDArray[np.bool_] | None
    ) -> _Sums:
        """Compute the sums that determine the gap."""
        s, T, n_rows = self._targets.s, self._targets.T, self._targets.n_rows
        P = self._targets.evaluate(self._z + b[:, None], occurring).P
        E, T_rows = (A[-n_rows:] * s for A in (P - T, T))
        x = np.zeros(self._dataset.n_features)
        G, Y = np.zeros((n_rows, len(x))), np.zeros((n_rows, len(x)))
        for rows, block in self._features.blocks(self._dataset):
            x += s[rows] @ block
            G += E[:, rows] @ block
            Y += T_rows[:, rows] @ block
        entropy = float(entr(P).sum(axis=0) @ s)
        return _Sums(entropy, P @ s, T @ s, x, G, Y)

    def entropy_of_targets(self) -> float:
        """Compute the sum of the entropy of T."""
        return float(entr(self._targets.T).sum(axis=0) @ self._targets.s)


class _Means:
    """The same as means over all rows, local or distributed.

    `occurring` are the classes to which probabilities are limited; None means all.
    """

    occurring: NDArray[np.bool_] | None = None

    def __init__(self, dataset: Rows, *arguments: Any) -> None:
        self._n, self._rows = len(dataset), dataset.in_pieces().bind(_Rows, *arguments)

    def at(self, b: NDArray[np.float64]) -> _AtIntercept:
        sums = self._rows.fold(_Rows.at, b, self.occurring, combine=add_each)
        return _AtIntercept(*(each / self._n for each in sums))

    def sum_up(self, b: NDArray[np.float64]) -> _Sums:
        sums = self._rows.fold(_Rows.sum_up, b, self.occurring, combine=add_each)
        return _Sums(*(each / self._n for each in sums))

    def entropy_of_targets(self) -> float:
        total: float = self._rows.fold(_Rows.entropy_of_targets, combine=add)
        return total / self._n


def _best_intercept(
    rows: _Means, at: _AtIntercept, b: NDArray[np.float64]
) -> tuple[_AtIntercept, NDArray[np.float64]]:
    """Minimise the loss over b by Newton's method, with shorter steps far from it.

    Any b yields a bound, so that it may stop early.
    """
    length = 1.0
    for _ in range(MAX_NEWTON):
        # The same for all classes is no step: H is 0 there, but for its rounding.
        step = linalg.pinvh(at.H, rtol=SINGULAR) @ at.gradient
        decrement = at.gradient @ step
        if not decrement > 0:
            break
        following = rows.at(b - length * step)
        if following.loss <= at.loss * (1 + RESOLUTION):
            at, b, length = following, b - length * step, min(1.0, 2 * length)
        else:
            length /= 2
        if decrement <= LAST_DECREMENT:
            break
    return at, b


def _features(dataset: Rows, scaling: Scaling, fit_intercept: bool) -> CentredFeatures:
    """Return features roughly centred, if there is an intercept."""
    centre = np.zeros(dataset.n_features)
    if not fit_intercept:
        centre = centre if scaling.mean is None else scaling.mean
    elif not sparse.issparse(dataset.X):
        some = dataset.sample(N_FOR_CENTRE)
        _, X = next(some.blocks(len(some)))
        centre = X.mean(axis=0, dtype=np.float64)
    return CentredFeatures(scaling, centre, fit_intercept)


def _mixture(
    p: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the share t and the probabilities q of the mixture with the mean of y."""
    excess = p - y
    with np.errstate(divide="ignore", invalid="ignore"):
        most = float(np.max(np.where(excess > 0, excess / y, 0)))
    if most <= ROUNDING:
        return 0.0, y
    if most == np.inf:
        return 1.0, y
    t = most / (1 + most)
    q = np.maximum(y - excess / most, 0)
    return t, q / q.sum()


def _penalty(W: NDArray[np.float64], l1_ratio: float) -> float:
    return float((1 - l1_ratio) / 2 * (W * W).sum() + l1_ratio * abs(W).sum())


def _fenchel_young(
    W: NDArray[np.float64], G: NDArray[np.float64], alpha: float, l1_ratio: float
) -> NDArray[np.float64]:
    """Compute Ω(W) + Ω*(−G) + W·G for each weight: 0 where G is −∂Ω(W)."""
    l1, l2 = alpha * l1_ratio, alpha * (1 - l1_ratio)
    if l1 == 0:
        return (G + l2 * W) ** 2 / (2 * l2)  # avoids differences, which lose precision
    excess = np.maximum(abs(G) - l1, 0)
    conjugate = excess**2 / (2 * l2) if l2 else np.zeros_like(G)
    return l2 / 2 * W**2 + l1 * abs(W) + W * G + conjugate
