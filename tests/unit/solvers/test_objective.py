"""The objective of a full-batch solver, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tests import reference
from tests.problems import problem
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.engine import Engine
from tfsoftmax.solvers.objective import Objective
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem(57)
ALPHA = 0.3


@pytest.fixture(params=[2, 3])
def evaluated(request):
    """The objective's value at random weights, and the same by NumPy."""
    n_classes = request.param
    y = np.minimum(Y, n_classes - 1)
    dataset = Dataset(X, y.astype(np.int32), row_weights(S, len(X)))
    V = np.random.default_rng(1).normal(size=(1, n_classes - (n_classes == 2), 6))
    engine = Engine(
        dataset, n_classes, batch_size=len(X), fit_intercept=True, rescale=1.0
    )

    def by_numpy(V):
        V = V.reshape(-1, 6)
        losses = reference.cross_entropy(X, y, V[:, :-1], V[:, -1], n_classes)
        return S @ losses / S.sum() + ALPHA / 2 * (V[:, :-1] ** 2).sum()

    with engine:
        yield Objective(engine, X.shape[1], ALPHA)(V), V, by_numpy


def test_the_objective_is_the_loss_and_a_penalty_on_all_but_the_intercept(evaluated):
    evaluation, V, by_numpy = evaluated
    expected = by_numpy(V)
    assert pytest.approx(expected, rel=1e-12) == evaluation.F
    penalty = ALPHA / 2 * (V[..., :-1] ** 2).sum()
    assert evaluation.loss == pytest.approx(evaluation.F - penalty, rel=1e-12)
    assert 0 < evaluation.accuracy < 1
    assert evaluation.V is V


def test_the_gradient_is_that_of_finite_differences(evaluated):
    evaluation, V, by_numpy = evaluated
    numeric = approx_fprime(V.ravel(), by_numpy, 1e-7)
    assert evaluation.gradient.shape == V.shape
    np.testing.assert_allclose(evaluation.gradient.ravel(), numeric, atol=1e-6)
