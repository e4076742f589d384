"""Objective: the function that a full-batch solver minimises, V ↦ F(V), ∇F(V).

    F(V) = (1/Σs) Σ_i s_i · CE(y_i, softmax(V x̃_i)) + alpha/2 · ‖W‖²

with V = (W, b): the intercept is not penalised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.engine.engine import Engine


class Evaluation(NamedTuple):
    """F and ∇F at V, and the mean cross-entropy and accuracy there."""

    V: NDArray[np.float64]
    F: float
    gradient: NDArray[np.float64]
    loss: float
    accuracy: float


class Objective:
    """F and its gradient over the rows of an engine.

    Parameters
    ----------
    engine : Engine
        Of one model, with all rows in one batch.
    n_features : int
        The first `n_features` columns of V are penalised.
    alpha : float
        The strength of the L2 penalty.
    """

    def __init__(self, engine: Engine, n_features: int, alpha: float) -> None:
        self._engine, self._n_features, self._alpha = engine, n_features, alpha

    def __call__(self, V: NDArray[np.float64]) -> Evaluation:
        """Evaluate at V, of shape (1, n_rows, n_columns)."""
        penalty = self._alpha * (np.arange(V.shape[-1]) < self._n_features)
        G, loss, accuracy = self._engine.gradient(V.astype(self._engine.precision))
        F = loss + float((penalty * V * V).sum()) / 2
        return Evaluation(V, F, G + penalty * V, loss, accuracy)
