"""The smoothness of the loss: how much a step can change its gradient.

The Hessian of a row's cross-entropy is (diag(p) − p pᵀ) ⊗ x̃ x̃ᵀ, and no p makes it
larger than ½ x̃ x̃ᵀ (Böhning 1992). So with the largest eigenvalue λ_max

    L = ½ λ_max(X̃ᵀ S X̃ / n)        L_max = ½ max_i s_i ‖x̃_i‖²

where S are the weights s_i, whose mean is 1, and x̃ ends with a 1 for the intercept.
Power iterations, v ← X̃ᵀ S X̃ v / n, find λ_max without copying the rows.

References
----------
D. Böhning, "Multinomial logistic regression algorithm", Annals of the Institute of
Statistical Mathematics 44(1), 1992.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.engine import Engine
from tfsoftmax.engine.features import Scaling

# Stop when an iteration changes λ_max by less than this fraction, or after this many.
PRECISION = 1e-3
MAX_ITERATIONS = 30


class Smoothness(NamedTuple):
    """L and L_max of each model, or of all models; and the number of rows."""

    all_rows: NDArray[np.float64]
    one_row: NDArray[np.float64]
    n: int

    def expected(self, batch_size: int, model: int) -> float:
        """Return the expected smoothness 𝓛(b) of a model; 1 where all x̃ are 0."""
        n, b = self.n, batch_size
        model = min(model, len(self.all_rows) - 1)
        L, L_max = float(self.all_rows[model]), float(self.one_row[model])
        if n > b:
            L = n * (b - 1) / (b * (n - 1)) * L + (n - b) / (b * (n - 1)) * L_max
        return L or 1.0


def smoothness(dataset: Rows, *, scaling: Scaling, fit_intercept: bool) -> Smoothness:
    """Compute L and L_max of a dataset's rows, with each model's weights."""
    n, n_models = len(dataset), dataset.n_weight_rows
    rows = dataset.bind(_Rows, scaling, fit_intercept)
    start = np.random.RandomState(0).normal(size=(dataset.n_features + fit_intercept))
    v = np.tile(start, (n_models, 1))
    largest = np.zeros(n_models)
    for _ in range(MAX_ITERATIONS):
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        total, squares = rows.fold(_Rows.gram, v, combine=_combine_gram)
        v = total / n
        before, largest = largest, np.linalg.norm(v, axis=1)
        if not (abs(largest - before) > PRECISION * largest).any():
            break
    return Smoothness(largest / 2, squares / 2, n)


class _Rows:
    """The rows x̃ of a dataset, for products with X̃ᵀ S X̃."""

    def __init__(self, dataset: Dataset, scaling: Scaling, fit_intercept: bool) -> None:
        self._n = len(dataset)
        self._engine = Engine(
            replace(dataset, y=np.zeros(self._n, np.int32)),
            n_classes=2,
            batch_size=self._n,
            fit_intercept=fit_intercept,
            scaling=scaling,
            n_models=dataset.n_weight_rows,
        )

    def gram(
        self, v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute X̃ᵀ S X̃ v of each model, and max s ‖x̃‖²."""
        with self._engine:
            product, most = self._engine.gram(v)
        return product * self._n, most


def _combine_gram(
    one: tuple[NDArray[np.float64], NDArray[np.float64]],
    other: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return one[0] + other[0], np.maximum(one[1], other[1])
