"""Objective: the function that a full-batch solver minimises, Û ↦ F(Û), ∇F(Û).

    F(Û) = (1/Σs) Σ_i s_i · CE(y_i, softmax(Û (x̂_i, 1))) + alpha/2 · ‖W‖²

with Û = (W, b) the weights of the centred features x̂ (`engine/features.py`). The
intercept is not penalised.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.engine.full_batch import AllRows
from tfsoftmax.solvers.curvature import (
    JITTER,
    Curvature,
    CurvatureSums,
    curvature_sums,
)
from tfsoftmax.solvers.newton import Hessian


class Evaluation(NamedTuple):
    """F and ∇F at Û, and the mean cross-entropy and accuracy there."""

    U: NDArray[np.float64]
    F: float
    gradient: NDArray[np.float64]
    loss: float
    accuracy: float


class Objective:
    """F, its gradient and its curvature, over all rows of a dataset.

    Parameters
    ----------
    rows : AllRows
    alpha : float
        The strength of the L2 penalty.
    precision : dtype
        The dtype of the computation.

    Attributes
    ----------
    n_evaluations : int
        Number of evaluations of F and its gradient.
    resolution : float
        The relative difference in F below which there are only rounding errors.
    """

    def __init__(self, rows: AllRows, alpha: float, precision: np.dtype[Any]) -> None:
        self.rows, self.alpha, self.precision = rows, alpha, precision
        self.n_evaluations = 0
        self.resolution = 4 * float(np.finfo(precision).eps)

    def __call__(self, U: NDArray[np.float64]) -> Evaluation:
        """Evaluate at Û."""
        self.n_evaluations += 1
        loss, accuracy, gradient = self.rows(U, self.precision)
        W = U[:, :-1]
        gradient[:, :-1] += self.alpha * W
        F = loss + self.alpha / 2 * float(np.vdot(W, W))
        return Evaluation(U, F, gradient, loss, accuracy)

    def curvature(
        self, U: NDArray[np.float64], typical: NDArray[np.float64] | None = None
    ) -> CurvatureSums:
        """Compute the sums of the curvature at Û; see :func:`curvature_sums`.

        It takes as long as several evaluations: with many columns, n_columns / (16
        n_rows) of them if no row is skipped.
        """
        rows = self.rows
        sums = curvature_sums(U, rows.dataset, rows.features, self.precision, typical)
        check_finite(sums.features)
        return sums

    def hessian(self, U: NDArray[np.float64]) -> Hessian:
        """Return F's Hessian at Û."""
        return Hessian(U, self.rows.dataset, self.rows.features, self.alpha)

    def model(self, sums: CurvatureSums) -> Curvature:
        """Return the model of F's Hessian for these sums."""
        jitter = JITTER[self.precision]
        return Curvature(sums, self.rows.features, self.alpha, jitter)


def check_finite(*numbers: Any) -> None:
    """Refuse non-finite values of the objective."""
    if not all(np.isfinite(each).all() for each in numbers):
        raise ValueError(
            "The loss or its gradient became non-finite. Scale the features of X, "
            "for instance with rescale=1/255."
        )
