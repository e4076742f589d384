"""The duality gap: how far above its minimum the objective can be at most.

For any class probabilities μ_i of the rows, with mean s (μ − y) = 0 if there is an
intercept,

    min F ≥ D(μ) = −mean s Σ_k μ_k log μ_k − Ω*(−G_μ)        G_μ = mean s (μ − y) x̃ᵀ

where Ω is the penalty and Ω* its conjugate (Boyd & Vandenberghe 2004, 5.7), by

    log Σ_k exp(z_k) ≥ μ·z − Σ_k μ_k log μ_k

μ are the model's own probabilities p, where the intercept is the best one for its
weights. For an L2 penalty alone, F − D is then ‖∇_W F‖² / (2 alpha), and what the best
intercept gains. That intercept is found by Newton's method; for what rounding leaves of
mean s (p − y), a share t of μ is the same for all rows:

    μ = (1 − t) p + t q        q = (mean s y − (1 − t) mean s p) / t

with the smallest t for which no q_k is negative. And where a pure L1 penalty demands
that no component of G_μ be larger than alpha, a share of μ is y, by which G_μ shrinks.

References
----------
S. Boyd and L. Vandenberghe, "Convex Optimization", Cambridge, 2004.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.special import entr

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import CentredFeatures, Scaling
from tfsoftmax.utils.blas import single_threaded_blas

# Steps to the best intercept; each squares the error.
MAX_NEWTON = 30
# Half of it is what the best intercept would gain.
SMALLEST_DECREMENT = 1e-32
# Relative to p's means: sums of so many numbers don't come closer.
ROUNDING = 1e-14


@single_threaded_blas()
def duality_gap(
    dataset: Dataset,
    coef: NDArray[Any],
    intercept: NDArray[Any],
    *,
    n_classes: int,
    fit_intercept: bool,
    scaling: Scaling,
    alpha: float,
    l1_ratio: float,
) -> float:
    """Compute an upper bound of F − min F over a dataset's rows.

    It takes the time of about one evaluation of F and its gradient in float64.

    Parameters
    ----------
    dataset : Dataset
    coef : ndarray of shape (n_rows, n_features)
        The weights of the features x, as fitted.
    intercept : ndarray of shape (n_rows,)
    n_classes : int
    fit_intercept, alpha, l1_ratio
        As the estimator's parameters.
    scaling : Scaling
        How x̃ comes from x; the penalty is on the weights of x̃.

    Returns
    -------
    gap : float
        With an allowance for the rounding of F; infinite where alpha is 0.
    """
    if alpha == 0:
        return np.inf
    features = _features(dataset, scaling, fit_intercept)
    W, b = scaling.weights(coef), np.zeros(len(coef))
    if fit_intercept:
        b = intercept + coef.astype(np.float64) @ features.centre
    z = np.concatenate([x @ W.T for _, x in features.blocks(dataset)])
    targets = Targets(dataset, n_classes, len(W))
    given = targets.evaluate(z + b)
    best, b = _best_intercept(z, targets, given, b) if fit_intercept else (given, b)
    sums = _sum_up(dataset, targets, best.P, features)
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
        gap += u * float(np.vdot(G, W)) + u * (entropy - targets.entropy())
        G = (1 - u) * G
    gap += float(_fenchel_young(W, G, alpha, l1_ratio).sum())
    F = given.loss + alpha * _penalty(W, l1_ratio)
    return max(gap, 0.0) + 8 * float(np.finfo(np.float64).eps) * F


class Predicted(NamedTuple):
    """The probabilities of the rows' classes, and the mean cross-entropy."""

    P: NDArray[np.float64]
    loss: float


class Targets:
    """The classes of the rows: their probabilities T and their weights s."""

    def __init__(self, dataset: Dataset, n_classes: int, n_rows: int) -> None:
        y = dataset.y
        self.T = np.eye(n_classes)[y] if y.ndim == 1 else y.astype(np.float64)
        self.s = dataset.row_weights()
        self.n_rows = n_rows

    def entropy(self) -> float:
        """Compute the mean entropy of T."""
        return float(self.s @ entr(self.T).sum(axis=1)) / len(self.T)

    def evaluate(self, z: NDArray[np.float64]) -> Predicted:
        """Compute the probabilities and the loss from logits (n, n_rows)."""
        if self.n_rows < self.T.shape[1]:
            z = np.column_stack([np.zeros_like(z), z])
        z = z - z.max(axis=1, keepdims=True)
        P = np.exp(z)
        total = P.sum(axis=1, keepdims=True)
        P /= total
        of_label = np.einsum("ij,ij->i", self.T, z - np.log(total))
        return Predicted(P, -float(self.s @ of_label) / len(z))


def _best_intercept(
    z: NDArray[np.float64],
    targets: Targets,
    predicted: Predicted,
    b: NDArray[np.float64],
) -> tuple[Predicted, NDArray[np.float64]]:
    """Minimise the loss over b alone, from logits z + b, by Newton's method."""
    n, n_rows = z.shape
    for _ in range(MAX_NEWTON):
        P = predicted.P[:, -n_rows:]
        gradient = targets.s @ (P - targets.T[:, -n_rows:]) / n
        H = (np.diag(targets.s @ P) - (P * targets.s[:, None]).T @ P) / n
        step = linalg.pinvh(H) @ gradient  # to add the same to all classes is no step
        if not gradient @ step > SMALLEST_DECREMENT:
            break
        following = targets.evaluate(z + (b - step))
        if not following.loss <= predicted.loss:
            break  # by rounding, or too far; this b is no less a bound
        predicted, b = following, b - step
    return predicted, b


class _Sums(NamedTuple):
    """Means over the rows, weighted by s.

    Attributes
    ----------
    entropy : float
        That of p's entropy.
    p, y : ndarray of shape (n_classes,)
    x : ndarray of shape (n_features,)
        That of the features x̂.
    G, Y : ndarray of shape (n_rows, n_features)
        Those of (p − y) x̂ᵀ and y x̂ᵀ.
    """

    entropy: float
    p: NDArray[np.float64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    G: NDArray[np.float64]
    Y: NDArray[np.float64]


def _sum_up(
    dataset: Dataset,
    targets: Targets,
    P: NDArray[np.float64],
    features: CentredFeatures,
) -> _Sums:
    n, s, T, n_rows = len(dataset), targets.s, targets.T, targets.n_rows
    E, T_rows = ((A * s[:, None])[:, -n_rows:] for A in (P - T, T))
    x, G = np.zeros(dataset.n_features), np.zeros((n_rows, dataset.n_features))
    Y = np.zeros_like(G)
    for rows, block in features.blocks(dataset):
        x += s[rows] @ block
        G += E[rows].T @ block
        Y += T_rows[rows].T @ block
    entropy = float(s @ entr(P).sum(axis=1))
    return _Sums(entropy / n, s @ P / n, s @ T / n, x / n, G / n, Y / n)


def _features(
    dataset: Dataset, scaling: Scaling, fit_intercept: bool
) -> CentredFeatures:
    """Return features centred about where the rows lie, the intercept permitting."""
    centre = np.zeros(dataset.n_features)
    if not fit_intercept:
        centre = centre if scaling.mean is None else scaling.mean
    elif not sparse.issparse(dataset.X):
        _, X = next(dataset.blocks())
        centre = X.mean(axis=0, dtype=np.float64)
    return CentredFeatures(scaling, centre, fit_intercept)


def _mixture(
    p: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the share t and the probabilities q of the mixture that has y's mean."""
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
    """Compute Ω(W) + Ω*(−G) + W·G of each weight: 0 where G is −∂Ω(W)."""
    l1, l2 = alpha * l1_ratio, alpha * (1 - l1_ratio)
    if l1 == 0:
        return (G + l2 * W) ** 2 / (2 * l2)  # without differences that round
    excess = np.maximum(abs(G) - l1, 0)
    conjugate = excess**2 / (2 * l2) if l2 else np.zeros_like(G)
    return l2 / 2 * W**2 + l1 * abs(W) + W * G + conjugate
