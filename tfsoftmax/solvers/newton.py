"""Newton steps, which measure the distance to the optimum by the Hessian itself.

    H d = −∇F        λ = √(∇Fᵀ H⁻¹ ∇F)

is solved by preconditioned conjugate gradients (Nocedal & Wright 2006, algorithm 5.3),
with the products of the Hessian H at Û with a direction V, over rows x̂ with the
probabilities p:

    H V = E[T V (x̂, 1) (x̂, 1)ᵀ] + alpha · V        T = diag(p) − p pᵀ

Each iteration increases λ², which never exceeds the exact value.

References
----------
J. Nocedal and S. Wright, "Numerical Optimization", Springer, 2006.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.features import CentredFeatures, products

# Products with H per step. Each takes about as long as a few evaluations of F.
MAX_PRODUCTS = 300
# Iterations are enough when the last few add little to λ² and leave little of the
# gradient in the metric of the preconditioner, which may be inaccurate.
N_LAST, LITTLE_MORE, LITTLE_LEFT = 3, 1e-2, 1e-6

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Hessian:
    """The Hessian of F at Û, as the function V ↦ H V, in float64.

    Parameters
    ----------
    U : ndarray of shape (n_rows, n_columns)
        The weights of the centred features, the intercept last.
    dataset : Dataset
    features : CentredFeatures
    alpha : float
        The strength of the L2 penalty.
    """

    def __init__(
        self,
        U: NDArray[np.float64],
        dataset: Rows,
        features: CentredFeatures,
        alpha: float,
    ) -> None:
        self._n, self._alpha = len(dataset), alpha
        self._has_intercept = features.fit_intercept
        self._rows = dataset.in_pieces().bind(_Rows, U, features)

    def largest_change(self, V: NDArray[np.float64]) -> float:
        """Return the largest change by V in a logit relative to another class."""
        largest: float = self._rows.fold(_Rows.largest_change, V, combine=max)
        return largest

    def __call__(self, V: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute H V."""
        product: NDArray[np.float64]
        product = self._rows.fold(_Rows.product, V, combine=add) / self._n
        if not self._has_intercept:
            product[:, -1] = 0
        product[:, :-1] += self._alpha * V[:, :-1]
        return product


class _Rows:
    """The rows x̂ of a dataset, and their probabilities (n_classes, n) at Û."""

    def __init__(
        self, dataset: Dataset, U: NDArray[np.float64], features: CentredFeatures
    ) -> None:
        self._dataset, self._features = dataset, features
        blocks = features.blocks(dataset)
        z = np.concatenate([self._logits(x, U) for _, x in blocks], axis=1)
        self._P: NDArray[np.float64] = softmax(z, axis=0)
        self._likeliest = z.argmax(axis=0)[None]

    def largest_change(self, V: NDArray[np.float64]) -> float:
        """Return the largest change by V in a logit relative to another class."""
        blocks = self._features.blocks(self._dataset)
        return max(float(np.ptp(self._logits(x, V), axis=0).max()) for _, x in blocks)

    def product(self, V: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the sum of T V (x̂, 1) (x̂, 1)ᵀ over the rows."""
        product = np.zeros_like(V)
        for rows, x in self._features.blocks(self._dataset):
            P, z = self._P[:, rows], self._logits(x, V)
            # T (z − c) = T z; with the c of the most probable class, nothing cancels.
            z -= np.take_along_axis(z, self._likeliest[:, rows], axis=0)
            Tz = P * (z - np.einsum("kn,kn->n", P, z))
            if self._dataset.weights is not None:
                Tz *= self._dataset.weights[rows]
            Tz = Tz[-len(V) :]
            product[:, :-1] += Tz @ x
            product[:, -1] += Tz.sum(axis=1)
        return product

    def _logits(self, x: Any, V: NDArray[np.float64]) -> NDArray[np.float64]:
        z: NDArray[np.float64] = products(V[:, :-1], x) + V[:, -1:]
        return np.concatenate([np.zeros_like(z), z]) if len(V) == 1 else z


def newton_step(
    hessian: Function, gradient: NDArray[np.float64], precondition: Function
) -> tuple[NDArray[np.float64], float, bool]:
    """Solve H d = −∇F by conjugate gradients, preconditioned by a model B of H.

    Returns
    -------
    step : ndarray
        d, along which F decreases even if the iterations were not enough.
    decrement : float
        λ, or less if the iterations were not enough.
    is_solved : bool
        Whether they were.
    """
    step = np.zeros_like(gradient)
    residual = -gradient
    direction = solved = precondition(residual)
    size = first = float(np.vdot(residual, solved))
    gains: list[float] = []
    for _ in range(MAX_PRODUCTS):
        product = hessian(direction)
        curvature = float(np.vdot(direction, product))
        if not (size > 0 and curvature > 0):
            break  # only rounding errors are left
        length = size / curvature
        step += length * direction
        residual -= length * product
        gains.append(length * size)
        solved = precondition(residual)
        former, size = size, float(np.vdot(residual, solved))
        more, all_of_it = sum(gains[-N_LAST:]), sum(gains)
        is_little = len(gains) > N_LAST and more <= LITTLE_MORE * all_of_it
        if is_little and size <= LITTLE_LEFT * first:
            break
        direction = solved + size / former * direction
    else:
        return step, math.sqrt(sum(gains)), False
    return step, math.sqrt(sum(gains)), True
